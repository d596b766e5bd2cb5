"""Deaths for tests of what survives them."""

from __future__ import annotations

from dataclasses import replace

import pytest

import arena.loop as loop
from arena.phases.records import PhaseSpec, Produced
from arena.run.state import Arena


class Crash(BaseException):
    """Not an Exception: nothing in the program may catch it."""


def play_through(arena: Arena, listen: loop.Listener = loop.silent) -> str:
    """Play a run to its end, opening it again whenever it dies; its digest. It is closed afterwards."""
    folder = arena.folder
    while True:
        try:
            loop.play(arena, listen)
            break
        except Crash:
            arena.close()
            arena = Arena.open(folder)
    found = arena.store.digest()
    arena.close()
    return found


def die_inside_every_transaction(monkeypatch: pytest.MonkeyPatch) -> set[tuple[int, int]]:
    """Make each phase die once with its records written and not committed; the set that is returned fills with the
    places where one has died."""
    died = set[tuple[int, int]]()

    def dying(spec: PhaseSpec) -> PhaseSpec:
        def store(arena: Arena, produced: Produced) -> Produced:
            records = spec.store(arena, produced)
            here = (arena.state.generation.index, len(arena.store.finished()))
            if here not in died:
                died.add(here)
                raise Crash
            return records

        return replace(spec, store=store)

    specs = {name: dying(spec) for name, spec in loop.SPECS.items()}
    monkeypatch.setattr(loop, "SPECS", specs)
    monkeypatch.setattr(loop, "PHASES", tuple(specs[spec.name] for spec in loop.PHASES))
    return died
