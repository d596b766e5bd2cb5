"""Deaths for tests of what survives them."""

from __future__ import annotations

import pytest

import arena.loop as loop
from arena.state import Arena


class Crash(BaseException):
    """Not an Exception: nothing in the program may catch it."""


def die_inside_every_transaction(monkeypatch: pytest.MonkeyPatch) -> set[tuple[int, int]]:
    """Each phase dies once with its records written and not committed; where it has is in the set."""
    real, died = loop.store_records, set[tuple[int, int]]()

    def dies_once_a_phase(arena: Arena, produced: loop.Produced) -> object:
        records = real(arena, produced)
        here = (arena.generation.index, len(arena.store.finished()))
        if here not in died:
            died.add(here)
            raise Crash
        return records

    monkeypatch.setattr(loop, "store_records", dies_once_a_phase)
    return died
