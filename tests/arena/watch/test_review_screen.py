"""The Review screen and the keys that control a run, at both sizes; a locked database loses no decision."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import ContentSwitcher, Input

from agents.identity import KeyRing
from arena.loop import play
from arena.run.state import Arena
from arena.run.store import Store
from arena.watch.app import Watch
from arena.watch.commands import RunControl
from arena.watch.confirm import Confirm
from arena.watch.queries import Busy, open_run
from culture.posts import Post, sign_post
from tests.helpers.run_lock import held
from tests.helpers.screens import MARKUP, SIZES, copy, press, queued, screen, settle, use


@pytest.fixture
def run(stopped: Path, tmp_path: Path) -> Path:
    """A copy of a stopped run that a test may write to."""
    return copy(stopped, tmp_path / "run")


def control(folder: Path) -> list[tuple[Any, ...]]:
    """The requests to a run, without the stop of the fixture."""
    with sqlite3.connect(folder / "run.db") as db:
        sql = "SELECT kind, subject, value, note, taken FROM control WHERE seq > 1 OR made IS NOT NULL ORDER BY seq"
        return db.execute(sql).fetchall()


def chosen(app: Watch) -> str:
    item = app.query_one("#review").chosen  # type: ignore[attr-defined]
    assert item is not None
    return str(item.subject)


# -- deciding ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.slow
def test_keys_of_the_review_screen(run: Path, size: tuple[int, int]) -> None:
    items = queued(run)
    assert len(items) > 6 and [i.score for i in items] == sorted((i.score for i in items), reverse=True)

    async def play(app: Watch, pilot: Any) -> None:
        shown = await press(app, pilot, "5")
        assert app.query_one(ContentSwitcher).current == "review"
        assert f"{len(items)} to decide" in shown and items[0].why[0][:20] in shown and f"{items[0].score:.2f}" in shown
        assert "a Accept" in shown and "u Undo" in shown and "q Quit" in shown
        assert chosen(app) == items[0].subject
        shown = await press(app, pilot, "a")
        assert "1 decided, not applied yet (u: undo)" in shown and chosen(app) == items[1].subject
        await press(app, pilot, "r")
        await press(app, pilot, "s")  # item 2 moves to the end
        assert chosen(app) == items[3].subject
        await press(app, pilot, "down", "a")
        assert chosen(app) == items[5].subject  # the cursor moves to the item after the decided one
        assert control(run) == [
            ("decision", items[0].subject, "accept", "", None),
            ("decision", items[1].subject, "reject", "", None),
            ("decision", items[4].subject, "accept", "", None),
        ]
        assert f"{len(items) - 3} to decide; 3 decided, not applied yet" in screen(app)
        await press(app, pilot, "u")
        assert chosen(app) == items[4].subject and len(control(run)) == 2
        await press(app, pilot, "n", *"ar 1")
        assert isinstance(app.focused, Input) and len(control(run)) == 2  # keys are typed into the field
        assert "note for the next decision: ar 1" in await press(app, pilot, "enter")
        await press(app, pilot, "r")
        assert control(run)[-1] == ("decision", items[4].subject, "reject", "ar 1", None)
        assert "note for the next" not in screen(app)
        await press(app, pilot, "s")
        assert items[2].subject in {i.subject for i in app.query_one("#review").items}  # type: ignore[attr-defined]
        await press(app, pilot, "n", "x", "escape")
        assert not isinstance(app.focused, Input)

    use(run, play, size)


def test_applied_decisions_cannot_be_undone(run: Path, stopped: Path) -> None:
    (run / "keys").mkdir()
    for path in [*stopped.glob("keys/*"), *(p for n in ("learner", "born") for p in stopped.rglob(f"{n}.safetensors"))]:
        to = run / path.relative_to(stopped)
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(path.read_bytes())
    items = queued(run)

    async def playing(app: Watch, pilot: Any) -> None:
        await press(app, pilot, "5", "a", "r")
        RunControl(app.run_).decide("nothing of this name", "accept")
        with Arena.open(run) as arena:
            assert play(arena)
        app.poll()
        await settle(app, pilot)
        assert "0 decided, not applied yet; 2 applied; 1 could not be applied" in screen(app)
        await press(app, pilot, "u")
        assert "2 applied" in screen(app)
        assert not {items[0].subject, items[1].subject} & {i.subject for i in app.query_one("#review").items}  # type: ignore[attr-defined]

    use(run, playing, SIZES[1])
    with sqlite3.connect(run / "run.db") as db:
        found = db.execute("SELECT subject, decision FROM receipts ORDER BY seq").fetchall()
    assert found == [(items[0].subject, "accept"), (items[1].subject, "reject"), ("nothing of this name", "void")]


@pytest.mark.slow
def test_decision_survives_a_locked_database(run: Path) -> None:
    items = queued(run)
    lock = sqlite3.connect(run / "run.db", isolation_level=None, check_same_thread=False)

    async def main() -> None:
        app = Watch(open_run(run), 30.0)
        async with app.run_test(size=SIZES[0]) as pilot:
            await settle(app, pilot)
            await press(app, pilot, "5")
            lock.execute("BEGIN IMMEDIATE")
            with pytest.raises(Busy):
                RunControl(app.run_).decide(items[0].subject, "accept")
            await pilot.press("a", "r")
            locked = "the run's database is locked; the request is kept"
            while locked not in screen(app) or "2 being written" not in screen(app):
                await pilot.pause(0.02)
            assert control(run) == []
            lock.execute("ROLLBACK")
            await settle(app, pilot)
            assert "is locked" not in screen(app) and "being written" not in screen(app)
            assert "2 decided, not applied yet" in screen(app)

    asyncio.run(main())
    lock.close()
    assert [(s, v) for _, s, v, *_ in control(run)] == [(items[0].subject, "accept"), (items[1].subject, "reject")]


def test_decision_survives_a_missing_database(run: Path) -> None:
    async def play(app: Watch, pilot: Any) -> None:
        await press(app, pilot, "5")
        (run / "run.db").rename(run / "gone.db")
        await pilot.press("a")
        while "was it moved or deleted?" not in screen(app) or "1 being written" not in screen(app):
            await pilot.pause(0.02)
        (run / "gone.db").rename(run / "run.db")
        await settle(app, pilot)
        assert "moved or deleted" not in screen(app) and "1 decided, not applied yet" in screen(app)

    use(run, play, SIZES[1])
    assert len(control(run)) == 1


def test_decision_before_closing_is_written(run: Path) -> None:
    async def main() -> None:
        app = Watch(open_run(run), 30.0)
        async with app.run_test(size=SIZES[0]) as pilot:
            await settle(app, pilot)
            await press(app, pilot, "5")
            await pilot.press("a", "q")

    asyncio.run(main())
    assert len(control(run)) == 1


def test_only_the_control_table_is_written(run: Path) -> None:
    store = Store(run / "run.db")
    before, telemetry = store.digest(), store.query("SELECT * FROM telemetry")

    async def play(app: Watch, pilot: Any) -> None:
        await press(app, pilot, "5", "a", "r", "u", "s")
        with held(run):
            app.poll()
            await settle(app, pilot)
            await press(app, pilot, "P", "X", "y")

    use(run, play)
    assert store.digest() == before and store.query("SELECT * FROM telemetry") == telemetry
    assert [kind for kind, *_ in control(run)] == ["decision", "pause", "stop"]


# -- nothing to decide ---------------------------------------------------------------------------------------------


def test_review_off_accepts_nothing(made: Path) -> None:
    async def play(app: Watch, pilot: Any) -> None:
        shown = await press(app, pilot, "5")
        assert "accepts no decisions (review: off)" in shown and "review=sample" in shown
        assert "grader ada says wrong, execution says right" in shown
        await press(app, pilot, "a", "r", "n", "escape", "u")
        assert not control(made)

    use(made, play)
    with pytest.raises(ValueError, match="review: off"):
        RunControl(open_run(made)).decide("x", "accept")


def test_finished_run_takes_decisions_but_no_commands(undisturbed: Path, tmp_path: Path) -> None:
    folder = copy(undisturbed, tmp_path / "over")
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(re.sub(r"mode: 'off'", "mode: sample", text))

    async def play(app: Watch, pilot: Any) -> None:
        shown = await press(app, pilot, "5")
        assert "The run is finished: decisions count once it is continued" in shown
        await press(app, pilot, "a")
        assert [kind for kind, *_ in control(folder)] == ["decision"] and "1 decided, not applied" in screen(app)
        assert "is finished: there is nothing to pause" in await press(app, pilot, "P")
        assert "is finished: there is nothing to stop" in await press(app, pilot, "X")

    use(folder, play)


def test_refused_decision_returns_to_the_queue(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("the disk is full")

    monkeypatch.setattr(RunControl, "decide", refuse)

    async def play(app: Watch, pilot: Any) -> None:
        await press(app, pilot, "5")
        first = chosen(app)
        await press(app, pilot, "a")
        assert "the disk is full" in screen(app)
        assert first in {i.subject for i in app.query_one("#review").items} and not control(run)  # type: ignore[attr-defined]

    use(run, play)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.slow
def test_empty_queue_gives_the_reason(empty: Path, run: Path, size: tuple[int, int]) -> None:
    async def nothing(app: Watch, pilot: Any) -> None:
        assert "items appear after the first generation has been graded" in await press(
            app, pilot, "5", "a", "s", "u", "down"
        )

    use(empty, nothing, size)
    for item in queued(run):
        RunControl(open_run(run)).decide(item.subject, "accept")

    async def all_done(app: Watch, pilot: Any) -> None:
        shown = " ".join((await press(app, pilot, "5")).split())  # the sentence is longer than a line of 80 columns
        assert "The queue is empty" in shown and "and no post waits" in shown and "next generation" in shown
        await press(app, pilot, "u")
        assert "1 to decide" in screen(app)

    use(run, all_done, size)


def test_review_shows_agent_text_as_data(made: Path) -> None:
    (made / "config.yaml").write_text((made / "config.yaml").read_text().replace("mode: 'off'", "mode: gate"))
    ring = KeyRing(made / "keys")
    post = Post("worked_example", "ada", 2, MARKUP, f"{MARKUP} \u202e", (), "list_programs/g0002r0000")
    signed = sign_post(post, ring.load("ada").public_key, lambda data: ring.sign("ada", data))
    store = Store(made / "run.db")
    store.insert({"waiting": [{**signed.to_row(), "decided": None}]})
    store.close()

    async def play(app: Watch, pilot: Any) -> None:
        shown = await press(app, pilot, "5")
        seen = 0
        for _ in queued(made):
            assert MARKUP in shown and "\x1b" not in shown and "\u202e" not in shown
            seen += "signature  valid" in shown and "Admit this post to the library?" in shown
            shown = await press(app, pilot, "down")
        assert seen == 1
        await press(app, pilot, "n", "[", "b", "]", "enter")
        assert "note for the next decision: [b]" in screen(app)

    use(made, play, SIZES[1])


# -- controls ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_pause_resume_and_stop_keys(run: Path) -> None:
    async def take(app: Watch, pilot: Any) -> str:
        with sqlite3.connect(run / "run.db") as db:
            db.execute("UPDATE control SET taken = 2 WHERE taken IS NULL")
        app.poll()
        await settle(app, pilot)
        return screen(app)

    async def play(app: Watch, pilot: Any) -> None:
        assert "not running" in screen(app)
        assert "no process is running" in await press(app, pilot, "P") and not control(run)
        with held(run), sqlite3.connect(run / "run.db") as db:
            db.execute("INSERT INTO control (kind, taken) VALUES ('resume', 2)")  # as a process does that opens the run
            db.commit()
            app.poll()
            await settle(app, pilot)
            assert "live" in screen(app)
            assert "pausing after this phase" in await press(app, pilot, "P") and "no process" not in screen(app)
            assert "not running" not in screen(app)
            shown = await take(app, pilot)
            assert "PAUSED" in shown and "next: read of generation 3" in shown and "P: resume" in shown
            assert "PAUSED" not in await press(app, pilot, "P") and "live" in screen(app)
            assert "Stop the run after this generation?" in await press(app, pilot, "X")
            await press(app, pilot, "P", "5")  # the other keys are disabled under the question
            assert isinstance(app.screen, Confirm)
            await press(app, pilot, "n", "X", "escape")
            assert [kind for kind, *_ in control(run)] == ["resume", "pause", "resume"]
            assert "stopping after this generation" in await press(app, pilot, "X", "y")
            assert "stopping" not in await press(app, pilot, "X") and "live" in screen(app)  # cancelled
            await press(app, pilot, "X", "enter")
            assert "stopping after this generation" in await take(app, pilot)
        app.poll()
        await settle(app, pilot)
        assert "not running" in screen(app) and "stopping" not in screen(app)

    use(run, play)
    assert [kind for kind, *_ in control(run)] == ["resume", "pause", "resume", "stop", "resume", "stop"]


def test_palette_and_help_name_the_controls(run: Path) -> None:
    async def play(app: Watch, pilot: Any) -> None:
        shown = await press(app, pilot, "question_mark")
        assert "Review: accept, reject, skip" in shown and "pause after this phase" in shown
        await press(app, pilot, "escape")
        names = {c.title for c in app.get_system_commands(app.screen)}
        assert {"Review", "Pause", "Stop", "Review: Accept", "Review: Note"} <= names

    use(run, play, SIZES[1])
