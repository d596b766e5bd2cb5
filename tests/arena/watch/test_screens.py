"""The screens of `watch`: every key at both sizes, on finished, empty and growing runs."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import ContentSwitcher, Input

from arena.run.store import Store
from arena.watch.app import Help, Watch
from arena.watch.queries import Busy, open_run, read_only
from arena.watch.screens import Reader
from arena.watch.screens.rows import Rows
from culture.kinds import KINDS
from tests.helpers.run_lock import held
from tests.helpers.screens import MARKUP, SIZES, copy, phase_row, press, problem, screen, settle, use


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.slow
def test_every_key(undisturbed: Path, size: tuple[int, int]) -> None:
    async def play(app: Watch, pilot: Any) -> None:
        shown = screen(app)
        assert (
            "generation 3 of 3" in shown and "finished" in shown and "solve rate" in shown and "held-out 1-2" in shown
        )
        assert all(m.name in shown for m in app.snapshot.members)  # type: ignore[union-attr]
        assert "q Quit" in shown
        assert "generation 3: 15 set" in await press(app, pilot, "2")
        rows = app.query_one("#problems", Rows).row_count
        assert "valid shown" in await press(app, pilot, "f")
        assert "learnable shown" in await press(app, pilot, "f")
        assert app.query_one("#problems", Rows).row_count == app.snapshot.at.learnable < rows  # type: ignore[union-attr]
        assert "generation 2: 15 set" in await press(app, pilot, "left_square_bracket")
        assert "STEPPED BACK from 3" in screen(app)
        assert "generation 3: 15 set" in await press(app, pilot, "right_square_bracket")
        assert "STEPPED" not in screen(app) and app.wanted is None
        await press(app, pilot, *["left_square_bracket"] * 5)
        assert app.wanted == 0 and "no data in this run yet" in screen(app)
        assert "STEPPED" in await press(app, pilot, "1") and "generation 0 of 3" in screen(app)
        assert "STEPPED" not in await press(app, pilot, "end")
        await press(app, pilot, "left_square_bracket")
        assert app.wanted == 2 and "STEPPED" not in await press(app, pilot, "l")
        assert "disputed shown" in await press(app, pilot, "2", "f")
        await press(app, pilot, "f", "down", "enter")
        assert isinstance(app.screen, Reader) and "proposal" in screen(app) and "attempt 1" in screen(app)
        await press(app, pilot, "3")  # the screen keys are disabled under an open round
        assert isinstance(app.screen, Reader)
        assert (await press(app, pilot, "escape") and app.query_one(ContentSwitcher).current) == "rounds"
        first = await press(app, pilot, "3")
        assert "family" in first and "rating after each" in first and "n Next" in first and "q Quit" in first
        name = app.query_one("#agent").name_shown  # type: ignore[attr-defined]
        await press(app, pilot, "n")
        assert app.query_one("#agent").name_shown != name  # type: ignore[attr-defined]
        await press(app, pilot, "p")
        assert app.query_one("#agent").name_shown == name  # type: ignore[attr-defined]
        await press(app, pilot, "1", "down", "enter")
        assert app.query_one("#agent").name_shown == app.snapshot.members[1].name  # type: ignore[union-attr, attr-defined]
        assert "the newest" in await press(app, pilot, "4")
        assert "definition" in await press(app, pilot, "k")
        await pilot.press(*["k"] * len(KINDS))
        await press(app, pilot, "slash", "1", "end", "q")
        assert app.query_one(Input).value == "1q" and "no posts of all kinds contain these words" in screen(app)
        await press(app, pilot, "backspace")
        found = await press(app, pilot, "enter")
        assert "best match first" in found and not isinstance(app.focused, Input)
        assert "signature  valid" in await press(app, pilot, "enter") and "readers" in screen(app)
        await press(app, pilot, "escape", "escape")
        assert app.query_one(Input).value == "" and "the newest" in screen(app)
        assert "by uplift (n pairs)" in await press(app, pilot, "u")
        assert "the newest" in await press(app, pilot, "u")
        await press(app, pilot, "question_mark")
        assert isinstance(app.screen, Help) and "replay the run" in screen(app)
        await press(app, pilot, "escape", "ctrl+p")
        assert "Previous generation" in screen(app) or "Search for commands" in screen(app)
        await press(app, pilot, "escape", "q")
        assert not app.is_running

    use(undisturbed, play, size)


def test_link_opens_its_post(made: Path) -> None:
    async def play(app: Watch, pilot: Any) -> None:
        shown = await press(app, pilot, "4", "enter")
        assert "cites 1, cited by 0" in shown and "reads      at work 1" in shown
        assert "w1 = rev inc" in await press(app, pilot, "enter") and "cites 0, cited by 1" in screen(app)
        assert "eve 2" in screen(app)  # its reader
        await press(app, pilot, "escape", "escape")
        assert not isinstance(app.screen, Reader)

    use(made, play)


@pytest.mark.parametrize("size", SIZES)
def test_empty_run_on_every_screen(empty: Path, size: tuple[int, int]) -> None:
    async def play(app: Watch, pilot: Any) -> None:
        assert "no phase has run yet" in screen(app)
        for key in "1234":
            assert "no data in this run yet" in await press(app, pilot, key, "left_square_bracket", "enter")
        await press(app, pilot, "n", "end", "f", "k", "q")

    use(empty, play, size)


def test_hostile_text_is_shown_as_data(made: Path) -> None:
    async def play(app: Watch, pilot: Any) -> None:
        for keys in (["2"], ["enter"], ["escape", "3"], ["4"], ["enter"]):
            shown = await press(app, pilot, *keys)
            assert MARKUP in shown
            assert "\x1b" not in shown and "\u202e" not in shown

    use(made, play)


def test_disagreeing_grader_is_marked(made: Path) -> None:
    async def play(app: Watch, pilot: Any) -> None:
        assert "!" in await press(app, pilot, "2")
        await press(app, pilot, "enter")
        shown = str(app.screen.text)  # type: ignore[attr-defined]
        assert "ada says wrong: DISAGREES" in shown and "not graded" in shown
        assert "DISAGREES with execution" in shown and "step has the wrong value at step 2" in shown
        assert "though the answer is right" in shown
        assert "earned     1.00 for ada: learnability, payment rule variance" in shown
        assert "definition by ada, generation 1: w1" in shown

    use(made, play)


@pytest.mark.slow
def test_same_text_without_colour(undisturbed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    async def play(app: Watch, pilot: Any) -> None:
        keys = (["1"], ["left_square_bracket"], ["2"], ["down", "enter"], ["escape", "3"], ["4"], ["enter"])
        seen.append([await press(app, pilot, *k) for k in keys])

    use(undisturbed, play)
    monkeypatch.setenv("NO_COLOR", "1")
    use(undisturbed, play)
    assert seen[0] == seen[1]


def test_growing_run_is_followed(undisturbed: Path, tmp_path: Path) -> None:
    folder = copy(undisturbed, tmp_path / "growing")
    store = Store(folder / "run.db")
    store.db.execute("DELETE FROM phases WHERE phase = 'final'")

    async def play(app: Watch, pilot: Any) -> None:
        assert "final of generation 3 at work" in screen(app)
        await press(app, pilot, "2")
        with store.transaction():
            store.insert(
                {"phases": [phase_row(4, "read"), phase_row(4, "propose")], "problems": [problem(4, 0, "ivo")]}
            )
        app.poll()
        await settle(app, pilot)
        assert "generation 4: 1 set, 1 valid, not graded yet" in screen(app) and "solve of generation 4" in screen(app)
        await press(app, pilot, "left_square_bracket")
        with store.transaction():
            store.insert({"phases": [phase_row(4, "solve")]})
        app.poll()
        await settle(app, pilot)
        assert "generation 3: 15 set" in screen(app) and "grade of generation 4" in screen(app)
        assert "generation 4: 1 set" in await press(app, pilot, "l")

    with held(folder):
        use(folder, play)
    store.close()


def test_locked_database_is_tried_again(undisturbed: Path, tmp_path: Path) -> None:
    folder = copy(undisturbed, tmp_path / "locked")
    lock = sqlite3.connect(folder / "run.db", isolation_level=None, check_same_thread=False)
    lock.execute("PRAGMA journal_mode=DELETE")
    lock.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Busy), read_only(folder / "run.db") as db:
        db.execute("SELECT * FROM meta").fetchall()

    async def main() -> None:
        app = Watch(open_run(folder), 30.0)
        async with app.run_test(size=SIZES[0]) as pilot:
            for _ in range(100):
                await pilot.pause(0.02)
                if "is locked" in screen(app):
                    break
            assert "the run's database is locked; trying again" in screen(app)
            lock.execute("ROLLBACK")
            await settle(app, pilot)
            assert "generation 3 of 3" in screen(app) and "is locked" not in screen(app)

    asyncio.run(main())
    lock.close()
