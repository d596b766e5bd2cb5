"""The Review screen and the keys that control a run: every key at both sizes, and nothing lost while it is locked."""

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
from arena.watch.commands import Desk
from arena.watch.confirm import Confirm
from arena.watch.queries import Busy, open_run
from culture.posts import Post, sign_post
from tests.helpers.run_lock import held
from tests.helpers.screens import MARKUP, SIZES, copy, phase_row, press, queued, screen, settle, use


@pytest.fixture
def desk(stopped: Path, tmp_path: Path) -> Path:
    """A copy that a test may write into."""
    return copy(stopped, tmp_path / "desk")


def control(folder: Path) -> list[tuple[Any, ...]]:
    """What was asked of a run, but for the stop that made it."""
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
def test_every_key_of_the_desk_does_what_it_says(desk: Path, size: tuple[int, int]) -> None:
    items = queued(desk)
    assert len(items) > 6 and [i.score for i in items] == sorted((i.score for i in items), reverse=True)

    async def play(app: Watch, pilot: Any) -> None:
        shown = await press(app, pilot, "5")
        assert app.query_one(ContentSwitcher).current == "review"
        assert f"{len(items)} to decide" in shown and items[0].why[0][:20] in shown and f"{items[0].score:.2f}" in shown
        assert "a Accept" in shown and "u Undo" in shown and "q Quit" in shown
        assert chosen(app) == items[0].subject
        shown = await press(app, pilot, "a")
        assert "1 decided and not taken yet (u: undo)" in shown and chosen(app) == items[1].subject
        await press(app, pilot, "r")
        await press(app, pilot, "s")  # 2 goes to the end
        assert chosen(app) == items[3].subject
        await press(app, pilot, "down", "a")
        assert chosen(app) == items[5].subject  # the next one takes the place of the one decided on
        assert control(desk) == [
            ("decision", items[0].subject, "accept", "", None),
            ("decision", items[1].subject, "reject", "", None),
            ("decision", items[4].subject, "accept", "", None),
        ]
        assert f"{len(items) - 3} to decide; 3 decided and not taken yet" in screen(app)
        await press(app, pilot, "u")
        assert chosen(app) == items[4].subject and len(control(desk)) == 2
        await press(app, pilot, "n", *"ar 1")
        assert isinstance(app.focused, Input) and len(control(desk)) == 2  # keys are text here
        assert "note to the next decision: ar 1" in await press(app, pilot, "enter")
        await press(app, pilot, "r")
        assert control(desk)[-1] == ("decision", items[4].subject, "reject", "ar 1", None)
        assert "note to the next" not in screen(app)
        await press(app, pilot, "s")
        assert items[2].subject in {i.subject for i in app.query_one("#review").items}  # type: ignore[attr-defined]
        await press(app, pilot, "n", "x", "escape")
        assert not isinstance(app.focused, Input)

    use(desk, play, size)


def test_what_the_run_takes_is_counted_and_cannot_be_undone(desk: Path, stopped: Path) -> None:
    (desk / "keys").mkdir()
    for path in [*stopped.glob("keys/*"), *(p for n in ("learner", "born") for p in stopped.rglob(f"{n}.safetensors"))]:
        to = desk / path.relative_to(stopped)
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(path.read_bytes())
    items = queued(desk)

    async def playing(app: Watch, pilot: Any) -> None:
        await press(app, pilot, "5", "a", "r")
        Desk(app.run_).decide("nothing of this name", "accept")
        with Arena.open(desk) as arena:
            assert play(arena)
        app.poll()
        await settle(app, pilot)
        assert "0 decided and not taken yet; 2 taken by the run; 1 could not be taken" in screen(app)
        await press(app, pilot, "u")
        assert "2 taken by the run" in screen(app)
        assert not {items[0].subject, items[1].subject} & {i.subject for i in app.query_one("#review").items}  # type: ignore[attr-defined]

    use(desk, playing, SIZES[1])
    with sqlite3.connect(desk / "run.db") as db:
        found = db.execute("SELECT subject, decision FROM receipts ORDER BY seq").fetchall()
    assert found == [(items[0].subject, "accept"), (items[1].subject, "reject"), ("nothing of this name", "void")]


@pytest.mark.slow
def test_a_decision_made_while_the_database_is_locked_is_kept_and_written(desk: Path) -> None:
    items = queued(desk)
    lock = sqlite3.connect(desk / "run.db", isolation_level=None, check_same_thread=False)

    async def main() -> None:
        app = Watch(open_run(desk), 30.0)
        async with app.run_test(size=SIZES[0]) as pilot:
            await settle(app, pilot)
            await press(app, pilot, "5")
            lock.execute("BEGIN IMMEDIATE")
            with pytest.raises(Busy):
                Desk(app.run_).decide(items[0].subject, "accept")
            await pilot.press("a", "r")
            locked = "the run's database is locked; what was asked is kept"
            while locked not in screen(app) or "2 being written" not in screen(app):
                await pilot.pause(0.02)
            assert control(desk) == []
            lock.execute("ROLLBACK")
            await settle(app, pilot)
            assert "is locked" not in screen(app) and "being written" not in screen(app)
            assert "2 decided and not taken yet" in screen(app)

    asyncio.run(main())
    lock.close()
    assert [(s, v) for _, s, v, *_ in control(desk)] == [(items[0].subject, "accept"), (items[1].subject, "reject")]


def test_a_decision_made_while_the_database_is_gone_is_kept_and_written(desk: Path) -> None:
    async def play(app: Watch, pilot: Any) -> None:
        await press(app, pilot, "5")
        (desk / "run.db").rename(desk / "gone.db")
        await pilot.press("a")
        while "was it moved or deleted?" not in screen(app) or "1 being written" not in screen(app):
            await pilot.pause(0.02)
        (desk / "gone.db").rename(desk / "run.db")
        await settle(app, pilot)
        assert "moved or deleted" not in screen(app) and "1 decided and not taken yet" in screen(app)

    use(desk, play, SIZES[1])
    assert len(control(desk)) == 1


def test_what_is_decided_just_before_the_watcher_closes_is_written(desk: Path) -> None:
    async def main() -> None:
        app = Watch(open_run(desk), 30.0)
        async with app.run_test(size=SIZES[0]) as pilot:
            await settle(app, pilot)
            await press(app, pilot, "5")
            await pilot.press("a", "q")

    asyncio.run(main())
    assert len(control(desk)) == 1


def test_only_the_control_table_is_written(desk: Path) -> None:
    store = Store(desk / "run.db")
    before, telemetry = store.digest(), store.query("SELECT * FROM telemetry")

    async def play(app: Watch, pilot: Any) -> None:
        await press(app, pilot, "5", "a", "r", "u", "s")
        with held(desk):
            app.poll()
            await settle(app, pilot)
            await press(app, pilot, "P", "X", "y")

    use(desk, play)
    assert store.digest() == before and store.query("SELECT * FROM telemetry") == telemetry
    assert [kind for kind, *_ in control(desk)] == ["decision", "pause", "stop"]


# -- what there is nothing to decide on ----------------------------------------------------------------------------


def test_off_shows_what_would_be_asked_and_takes_nothing(made: Path) -> None:
    async def play(app: Watch, pilot: Any) -> None:
        shown = await press(app, pilot, "5")
        assert "takes no decisions (review: off)" in shown and "review=sample" in shown
        assert "grader ada says wrong, execution says right" in shown
        await press(app, pilot, "a", "r", "n", "escape", "u")
        assert not control(made)

    use(made, play)
    with pytest.raises(ValueError, match="review: off"):
        Desk(open_run(made)).decide("x", "accept")


def test_a_finished_run_takes_no_more_decisions(undisturbed: Path, tmp_path: Path) -> None:
    folder = copy(undisturbed, tmp_path / "over")
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(re.sub(r"mode: 'off'", "mode: sample", text))
    with pytest.raises(ValueError, match="finished and takes no more decisions"):
        Desk(open_run(folder)).decide("x", "accept")

    async def play(app: Watch, pilot: Any) -> None:
        shown = await press(app, pilot, "5")
        assert "The run is finished and takes no more decisions." in shown
        await press(app, pilot, "a")
        assert not control(folder) and "to decide" in screen(app)
        assert "is finished: there is nothing to pause" in await press(app, pilot, "P")
        assert "is finished: there is nothing to stop" in await press(app, pilot, "X")

    use(folder, play)


def test_a_decision_refused_at_the_last_moment_comes_back_to_the_desk(desk: Path) -> None:
    async def play(app: Watch, pilot: Any) -> None:
        await press(app, pilot, "5")
        store = Store(desk / "run.db")
        with store.transaction():
            store.insert({"phases": [phase_row(2, "final")]})
        first = chosen(app)
        await press(app, pilot, "a")
        assert "the run is finished and takes no more decisions" in screen(app)
        assert first in {i.subject for i in app.query_one("#review").items} and not control(desk)  # type: ignore[attr-defined]

    use(desk, play)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.slow
def test_an_empty_desk_says_why(empty: Path, desk: Path, size: tuple[int, int]) -> None:
    async def nothing(app: Watch, pilot: Any) -> None:
        assert "items come when a first generation has been graded" in await press(
            app, pilot, "5", "a", "s", "u", "down"
        )

    use(empty, nothing, size)
    for item in queued(desk):
        Desk(open_run(desk)).decide(item.subject, "accept")

    async def all_done(app: Watch, pilot: Any) -> None:
        shown = await press(app, pilot, "5")
        assert "The desk is empty" in shown and "and no post waits" in shown and "next generation" in shown
        await press(app, pilot, "u")
        assert "1 to decide" in screen(app)

    use(desk, all_done, size)


def test_text_of_agents_on_the_desk_is_shown_as_it_is(made: Path) -> None:
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
            seen += "signature  valid" in shown and "Let this post into the library?" in shown
            shown = await press(app, pilot, "down")
        assert seen == 1
        await press(app, pilot, "n", "[", "b", "]", "enter")
        assert "note to the next decision: [b]" in screen(app)

    use(made, play, SIZES[1])


# -- controls ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_is_paused_resumed_and_stopped_by_keys(desk: Path) -> None:
    async def take(app: Watch, pilot: Any) -> str:
        with sqlite3.connect(desk / "run.db") as db:
            db.execute("UPDATE control SET taken = 2 WHERE taken IS NULL")
        app.poll()
        await settle(app, pilot)
        return screen(app)

    async def play(app: Watch, pilot: Any) -> None:
        assert "no process plays it" in screen(app)
        assert "no process is playing" in await press(app, pilot, "P") and not control(desk)
        with held(desk), sqlite3.connect(desk / "run.db") as db:
            db.execute("INSERT INTO control (kind, taken) VALUES ('resume', 2)")  # as the process does that opens it
            db.commit()
            app.poll()
            await settle(app, pilot)
            assert "live" in screen(app)
            assert "pausing after this phase" in await press(app, pilot, "P") and "no process" not in screen(app)
            shown = await take(app, pilot)
            assert "PAUSED" in shown and "next: read of generation 3" in shown and "P: go on" in shown
            assert "PAUSED" not in await press(app, pilot, "P") and "live" in screen(app)
            assert "Stop the run after this generation?" in await press(app, pilot, "X")
            await press(app, pilot, "P", "5")  # nothing else happens under the question
            assert isinstance(app.screen, Confirm)
            await press(app, pilot, "n", "X", "escape")
            assert [kind for kind, *_ in control(desk)] == ["resume", "pause", "resume"]
            assert "stopping after this generation" in await press(app, pilot, "X", "y")
            assert "stopping" not in await press(app, pilot, "X") and "live" in screen(app)  # taken back
            await press(app, pilot, "X", "enter")
            assert "stopping after this generation" in await take(app, pilot)
        app.poll()
        await settle(app, pilot)
        assert "no process plays it" in screen(app) and "stopping" not in screen(app)

    use(desk, play)
    assert [kind for kind, *_ in control(desk)] == ["resume", "pause", "resume", "stop", "resume", "stop"]


def test_the_palette_and_the_help_name_the_desk_and_the_controls(desk: Path) -> None:
    async def play(app: Watch, pilot: Any) -> None:
        shown = await press(app, pilot, "question_mark")
        assert "Review: accept, reject, skip" in shown and "pause after this phase" in shown
        await press(app, pilot, "escape")
        names = {c.title for c in app.get_system_commands(app.screen)}
        assert {"Review", "Pause or go on", "Stop"} <= names

    use(desk, play, SIZES[1])
