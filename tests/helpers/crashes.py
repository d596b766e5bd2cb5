"""Simulated crashes of a run."""

from __future__ import annotations

from dataclasses import replace

import pytest

import arena.loop as loop
from arena.phases.records import PhaseSpec, Produced
from arena.run.state import Arena


class Crash(BaseException):
    """A BaseException, so that no `except Exception` in the program catches it."""


def play_through(arena: Arena, listen: loop.Listener = loop.silent) -> str:
    """Play a run to its end, opening it again after every crash; closes it and returns its digest."""
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
    """Make each phase crash once, with its records written and not committed. Returns a set to which the place of every
    crash is added."""
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
