"""Post visibility: reading network, expiry and burn. Also which agents retire by age.

Agents live in places: each founder has one, and a newborn takes the place of the agent that retired. The reading
network connects places, so it outlives agents. Left out: networks that change during a run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from arena.config.culture import LibrarySection
from arena.run.fold import RunState
from culture.scope import Scope
from curricula.replay import Entry

EVERYWHERE = -1
"""Place of a reader of all authors, whatever the network: the consolidated adapter while it is trained."""


def visible_authors(state: RunState, agent: str) -> frozenset[str] | None:
    """The authors that `agent` reads, retired ones included; None: all."""
    library, place, n = state.config.library, state.places[agent], state.config.population.agents
    if library.network == "all" or place == EVERYWHERE:
        return None
    if library.network == "self":
        return frozenset({agent})
    near: Callable[[int], bool] = {
        "line": lambda p: p == place,
        "ring": lambda p: p in (place, (place - 1) % n),
        "islands": lambda p: p % library.islands == place % library.islands,
    }[library.network]
    return frozenset(name for name, p in state.places.items() if near(p))


def visible_generations(library: LibrarySection, now: int) -> tuple[tuple[int, int], ...] | None:
    """Inclusive spans of generations whose posts are visible in generation `now`; None: all of them."""
    first = max(0, now - library.lasts) if library.lasts else 0
    if library.burn and now >= library.burn and (not library.restore or now < library.restore):
        first = max(first, library.burn)
    return ((first, now),) if first else None


def scope(state: RunState, agent: str) -> Scope:
    """The posts that `agent` can read in the current generation."""
    now = state.generation.index
    return Scope(
        authors=visible_authors(state, agent), generations=visible_generations(state.config.library, now), now=now
    )


def readable(state: RunState, agent: str, out: Collection[str] = ()) -> Callable[[Entry], bool]:
    """A test for entries of the bank that `agent` can read, without the posts `out`."""
    authors, left = visible_authors(state, agent), visible_generations(state.config.library, state.generation.index)
    removed = {*out, *(r["post"] for r in state.store.query("SELECT post FROM removals"))}

    def test(entry: Entry) -> bool:
        there = left is None or any(first <= entry.generation <= last for first, last in left)
        return there and (authors is None or entry.author in authors) and entry.post not in removed

    return test


def retires_by_age(state: RunState, agent: str) -> bool:
    """Whether `agent` retires by age at the end of this generation (`turnover.policy: age`)."""
    g, config = state.generation.index, state.config.turnover
    return config.policy == "age" and g < state.config.generations and g - state.births[agent] >= config.life
