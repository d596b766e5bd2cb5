"""Deaths for tests of what survives them."""

from __future__ import annotations

import pytest

import arena.loop as loop
from arena.phases.records import Produced
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
    """Each phase dies once with its records written and not committed; where it has is in the set."""
    real, died = loop.store_records, set[tuple[int, int]]()

    def dies_once_a_phase(arena: Arena, produced: Produced) -> object:
        records = real(arena, produced)
        here = (arena.generation.index, len(arena.store.finished()))
        if here not in died:
            died.add(here)
            raise Crash
        return records

    monkeypatch.setattr(loop, "store_records", dies_once_a_phase)
    return died
