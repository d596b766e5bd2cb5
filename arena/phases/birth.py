"""The phase `birth`: the first population, in generation 0."""

from __future__ import annotations

from arena.phases.records import Produced
from arena.run.state import Arena
from arena.run.store import Records


def birth(arena: Arena) -> Produced:
    """One agent for each place, without parents."""
    return {"agents": [arena.newborn(i, 0, [], "nothing", i) for i in range(arena.config.population.agents)]}


def fold_birth(arena: Arena, records: Records) -> None:
    arena.welcome(records["agents"])
