"""A tiny run with every phase of culture switched on at once, and populations with libraries written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from arena.config.schema import load_config
from arena.library.admission import admit, sign
from arena.phases.records import Produced
from arena.phases.registry import SPECS
from arena.run.fold import Generation
from arena.run.state import Arena
from culture.posts import Post
from curricula.replay import Entry

EVERYTHING = (
    "generations=8",
    "domains.list_programs.share=0.5",
    "domains.hidden_words.share=0.5",
    "domains.hidden_words.levels=2",
    "rounds.guesser=search",
    "rounds.guesses=4",
    "rounds.recall=true",
    "library.kinds=[definition,worked_example,lesson,failure,question,review]",
    "library.forget=books",
    "library.index=90",
    "library.burn=5",
    "library.restore=7",
    "library.withhold=0.3",
    "sleep.learning_rate=0.003",
    "rounds.per_agent=7",
    "sleep.lore=64",
    "sleep.newborn=16",
    "turnover.policy=age",
    "turnover.life=2",
    "turnover.inherit=both",
    "turnover.crossing=crossover",
    "turnover.consolidate=3",
    "measure.collapse=2",
    "measure.ratchet.every=2",
    "measure.ratchet.per_depth=1",
    "measure.ratchet.share=1000",
    "measure.ratchet.school=1",
)


def begin(folder: Path, name: str, *overrides: str) -> Arena:
    """A run of configs/tiny.yaml of which nothing has been played."""
    return Arena.create(load_config("configs/tiny.yaml", [f"run.folder={folder}", f"run.name={name}", *overrides]))


def peopled(folder: Path, name: str, *overrides: str, generation: int = 5) -> Arena:
    """The same with its first population, in a generation of which nothing has been played."""
    arena = begin(folder, name, *overrides)
    run_phase(arena, "birth")
    arena.state.generation = Generation(generation)
    return arena


def store(arena: Arena, phase: str, produced: Produced) -> dict[str, list[Any]]:
    """Write a phase's records as the loop does."""
    with arena.store.transaction():
        return SPECS[phase].store(arena, produced)


def run_phase(arena: Arena, phase: str) -> dict[str, list[Any]]:
    """Play one phase, store and fold its records as the loop does; the records."""
    records = store(arena, phase, SPECS[phase].play(arena))
    SPECS[phase].fold(arena, records)
    return records


def meaning(arena: Arena, name: str) -> tuple[str, ...]:
    words = arena.state.words_domain()
    assert words is not None
    return words.world.bodies[name]


def define(arena: Arena, generation: int, author: str, *names: str) -> list[str]:
    """Right definitions, posted; their ids."""
    posts = [
        Post("definition", author, generation, n, f"{n} = {' '.join(meaning(arena, n))}", (), "hidden_words")
        for n in names
    ]
    return publish(arena, *posts)


def publish(arena: Arena, *posts: Post) -> list[str]:
    """Posts that have to be let in, in order; their ids."""
    with arena.store.transaction():
        results = arena.state.library.add([sign(arena.keys, p) for p in posts], lambda p: admit(arena.state, p))
    assert [reason for _, reason in results] == [None] * len(posts)
    return [id for id, _ in results]


def entry(arena: Arena, author: str, generation: int, post: str, rate: float = 0.5, text: str = "rev | 3 1 4") -> Entry:
    """A worked example in the bank, as `post` would have brought it there."""
    made = Entry(post, "list_programs", author, text, "rev 4 1 3 answer 4 1 3", rate, generation)
    arena.state.bank.add([made])
    return made
