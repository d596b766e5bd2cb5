"""How agents live together: whose posts they read and sleep on, what time and fire have left of them, and who has lived
its life.

Agents live in places: founders one each, and a newborn takes the place of the one who retired. Circles are of places,
so that they outlive those who live there. Left out: circles that change while a run is played.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from arena.config.culture import LibrarySection
from arena.run.fold import RunState
from culture.scope import Scope
from curricula.replay import Entry

EVERYWHERE = -1
"""The place of who reads everybody, whatever the network: the mind of the big sleep, which nobody lives in."""


def visible_authors(state: RunState, agent: str) -> frozenset[str] | None:
    """The authors that `agent` reads, dead ones too; None: everybody."""
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
    """The generations whose posts are left in generation `now`, as inclusive spans; None: all of them."""
    first = max(0, now - library.lasts) if library.lasts else 0
    if library.burn and now >= library.burn and (not library.restore or now < library.restore):
        first = max(first, library.burn)
    return ((first, now),) if first else None


def scope(state: RunState, agent: str) -> Scope:
    """What `agent` can read in the generation in progress."""
    now = state.generation.index
    return Scope(
        authors=visible_authors(state, agent), generations=visible_generations(state.config.library, now), now=now
    )


def readable(state: RunState, agent: str, out: Collection[str] = ()) -> Callable[[Entry], bool]:
    """The same for the entries of the bank, without those of the posts `out`."""
    authors, left = visible_authors(state, agent), visible_generations(state.config.library, state.generation.index)
    removed = {*out, *(r["post"] for r in state.store.query("SELECT post FROM removals"))}

    def test(entry: Entry) -> bool:
        there = left is None or any(first <= entry.generation <= last for first, last in left)
        return there and (authors is None or entry.author in authors) and entry.post not in removed

    return test


def retires_by_age(state: RunState, agent: str) -> bool:
    """Whether `agent` has lived its life by the end of this generation (`turnover.policy: age`)."""
    g, config = state.generation.index, state.config.turnover
    return config.policy == "age" and g < state.config.generations and g - state.births[agent] >= config.life
