"""Every screen of the handmade run as text, at both sizes, so that a diff shows every visible change.

`pytest --snapshot-update tests/arena/watch/test_snapshots.py` stores the new screens; read the diff before committing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from arena.run.store import Store
from arena.watch.app import Watch
from tests.helpers.screens import SIZES, lines, phase_row, press, screen, settle, use

SCREENS = {
    "arena": ["1"],
    "stepped back": ["left_square_bracket"],
    "rounds": ["l", "2"],
    "a round": ["enter"],
    "agent": ["escape", "3"],
    "library": ["4"],
    "a post": ["enter"],
    "a definition": ["escape", "down", "enter"],
    "review": ["escape", "5"],
    "help": ["escape", "question_mark"],
}


@pytest.fixture
def done(made: Path) -> Path:
    """The handmade run, finished, so that no screen shows how long a phase has been running."""
    store = Store(made / "run.db")
    with store.transaction():
        store.insert({"phases": [phase_row(2, "final")]})
    store.close()
    return made


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.slow
def test_screen_snapshots(done: Path, size: tuple[int, int], snapshot: SnapshotAssertion) -> None:
    async def play(app: Watch, pilot: Any) -> None:
        for name, keys in SCREENS.items():
            shown = await press(app, pilot, *keys)
            assert all(len(line) <= size[0] for line in shown.splitlines())
            assert lines(shown) == snapshot(name=f"{name}, {size[0]}x{size[1]}")

    use(done, play, size)


@pytest.mark.parametrize("keys", ["1", "2", "2 enter", "3", "4", "4 enter", "5", "question_mark"])
def test_resizing_restores_the_screen(done: Path, keys: str) -> None:
    async def play(app: Watch, pilot: Any) -> None:
        before = await press(app, pilot, *keys.split())
        await pilot.resize_terminal(*SIZES[1])
        await settle(app, pilot)
        large = screen(app)
        assert len(large.splitlines()) == SIZES[1][1] and large.splitlines()[0] != before.splitlines()[0]
        await pilot.resize_terminal(20, 6)  # too small to show anything; must not fail
        await settle(app, pilot)
        await pilot.resize_terminal(*SIZES[0])
        await settle(app, pilot)
        assert lines(screen(app)) == lines(before)

    use(done, play)
