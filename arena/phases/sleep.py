"""The sleep phase: a generation's experience, the library and some of the school become weights.

Each agent's examples are fresh worked examples, a sample of the archive, exercises in what the library defines, its
own paid proposals (weighted by what they were paid), and seed examples against forgetting. Prompts are rebuilt as
they would be asked, with the definitions a post cites. Who dies tonight and leaves no weights does not sleep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.learner import Example, Learner
from arena.library.definitions import Body, Shelves
from arena.library.examples import entry_example, seed_examples
from arena.library.recall import remembered
from arena.library.visibility import ends, readable
from arena.rounds.roles import setter
from arena.run.engines import rest
from arena.run.state import Arena
from arena.run.store import Row
from culture.library import Read
from curricula.replay import Entry


@dataclass
class Lessons:
    """What was slept on: rows of table `sleeps`, and the posts."""

    sleeps: list[Row] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)

    def add(self, other: Lessons) -> None:
        self.sleeps += other.sleeps
        self.reads += other.reads


def sleep(arena: Arena) -> dict[str, list[Any]]:
    """Train all agents in one mixed batch; write the adapters; give the records. None where nobody learns."""
    if arena.learner is None:
        return {"sleeps": [], "checkpoints": [], "reads": []}
    g = arena.generation.index
    examples: list[Example] = []
    lessons, shelves = Lessons(), Shelves(arena)
    for agent in arena.living:
        if leaves_nothing(arena, agent):
            continue
        chosen = library_sample(arena, agent)
        lessons.reads += [Read(g, "sleep", agent, f"g{g:04d}", e.post, 1.0) for e in chosen]
        examples += [entry_example(arena, shelves, agent, e) for e in chosen]
        lessons.add(exercises(arena, shelves, agent, remembered(arena, agent), examples))
        examples += paid_proposals(arena, agent)
        examples += seed_examples(arena, agent, arena.config.sleep.seed_examples)
    rest(arena.engine)
    lessons.sleeps += train(arena, arena.learner, examples, f"{arena.seed}/{g}/sleep")
    arena.act()
    return {"sleeps": lessons.sleeps, "checkpoints": write_checkpoint(arena, arena.learner), "reads": lessons.reads}


def leaves_nothing(arena: Arena, agent: str) -> bool:
    """Whether `agent` retires tonight and its last day goes on in no weights: its children have none of it, or go to
    school, where they meet that day in the library."""
    config = arena.config.turnover
    return ends(arena, agent) and config.inherit != "weights" and not config.consolidate


def train(arena: Arena, learner: Learner, examples: list[Example], seed: str) -> list[Row]:
    """Sleep on the examples, count the tokens, and give a row an agent."""
    reports = learner.sleep(examples, seed)
    arena.generation.tokens.trained += sum(r.tokens for r in reports)
    return [
        {
            "generation": arena.generation.index,
            "agent": r.agent,
            "examples": r.examples,
            "tokens": r.tokens,
            "steps": r.steps,
            "loss": r.loss,
        }
        for r in reports
    ]


def school(arena: Arena, learner: Learner, agent: str, seed: str, memory: Mapping[str, Body]) -> Lessons:
    """What a newborn sleeps on before its first day: the library, and some of the seed's own school. `memory` is what
    the weights that it begins with recall."""
    g, config = arena.generation.index, arena.config.sleep
    lessons, shelves, examples = Lessons(), Shelves(arena), list[Example]()
    rng = arena.rng(g, agent, "school", "library")
    chosen = arena.bank.sample(rng, config.newborn, g, readable=readable(arena, agent))
    lessons.reads += [Read(g, "sleep", agent, f"g{g:04d}", e.post, 1.0) for e in chosen]
    examples += [entry_example(arena, shelves, agent, e) for e in chosen]
    lessons.add(exercises(arena, shelves, agent, memory, examples))
    if examples:
        examples += seed_examples(arena, agent, config.seed_examples)
        lessons.sleeps += train(arena, learner, examples, seed)
    return lessons


def library_sample(arena: Arena, agent: str) -> list[Entry]:
    """Fresh and archived worked examples, of what the agent may read."""
    g, config = arena.generation.index, arena.config.sleep
    mine = readable(arena, agent)
    rng = arena.rng(g, agent, "sleep")
    fresh = arena.bank.sample(rng, config.fresh, g, readable=mine, born=range(g, g + 1))
    born = range(g - 1, g) if config.memory == "replace" else range(g)
    last = config.memory_size if config.memory == "budget" else None
    return fresh + arena.bank.sample(rng, config.archive, g, readable=mine, born=born, last=last)


def exercises(arena: Arena, shelves: Shelves, agent: str, memory: Mapping[str, Body], into: list[Example]) -> Lessons:
    """`sleep.lore` exercises in what the agent may read and what it remembers, appended to `into`; the posts they come
    from.

    What is remembered is rehearsed (Robins 1995): else a night on a library that has lost a definition would teach that
    its name is unknown. Where both speak of a name, the library is believed.
    """
    words, g, config = arena.words_domain(), arena.generation.index, arena.config.sleep
    n = config.lore
    known = shelves.of(agent, sleeping=True) if words and n else {}
    bodies = dict(memory) | {name: found.body for name, found in known.items() if found.body is not None}
    if not words or not n or not bodies:
        return Lessons()
    rng = arena.rng(g, agent, "lore")
    drawn = words.practice(bodies, rng, n, guess=0.0, dreams=config.dreams, unknown=config.unknown)
    into += [Example(agent, prompt, completion) for prompt, completion in drawn]
    posts = dict.fromkeys(found.post for found in known.values())
    return Lessons(reads=[Read(g, "sleep", agent, f"g{g:04d}/lore", post, 1.0) for post in posts])


def paid_proposals(arena: Arena, agent: str) -> list[Example]:
    """The agent's own proposals that were paid, the best first."""
    config = arena.config
    if config.rounds.setter != "self" or not config.sleep.proposals:
        return []
    outcomes = arena.generation.outcomes
    paid = [
        (outcomes[r.id]["setter_reward"], r)
        for r in arena.generation.rounds
        if r.author == agent and r.problem is not None and outcomes[r.id]["setter_reward"] > 0
    ]
    paid.sort(key=lambda x: (-x[0], x[1].id))
    weight = config.sleep.proposal_weight
    return [
        Example(
            agent,
            setter.ask(arena.voice, r.domain, agent, r.parent),
            setter.say(arena.voice, r.proposal),
            weight * reward,
        )
        for reward, r in paid[: config.sleep.proposals]
    ]


def write_checkpoint(arena: Arena, learner: Learner) -> list[dict[str, Any]]:
    """Acting adapters as PEFT folders and the learner's state; rows with their digests."""
    g = arena.generation.index
    folder = f"adapters/g{g:04d}"
    rows = []
    for name in arena.living:
        path = f"{folder}/{name}"
        row = learner.acting_row(name)
        sha = learner.layout.save_peft(row, arena.folder / path, arena.base_name)
        rows.append({"generation": g, "name": name, "path": path, "sha256": sha})
    path = f"{folder}/learner.safetensors"
    sha = learner.save(arena.folder / path)
    rows.append({"generation": g, "name": "learner", "path": path, "sha256": sha})
    return rows
