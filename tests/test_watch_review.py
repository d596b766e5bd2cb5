"""The Review screen and the keys that control a run: every key at both sizes, and nothing lost while it is locked."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from holding import held
from textual.widgets import ContentSwitcher, Input
from watching import MARKUP, SIZES, attempt, copy, phase_row, press, problem, round_, screen, settle, use

from agents.identity import KeyRing
from arena.config import load_config
from arena.loop import play
from arena.report.ratings import Rating
from arena.state import Arena
from arena.store import Store
from arena.watch.app import Watch
from arena.watch.confirm import Confirm
from arena.watch.data import Busy, open_run, reading
from arena.watch.desk import Desk
from arena.watch.queue import ATTEMPT, POST, WAITING, Item, Queue, common, of_generation, waiting
from culture.posts import Post, sign_post


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run under `review: gate` that was stopped after its second generation."""
    folder = tmp_path_factory.mktemp("stopped")
    given = [f"run.folder={folder}", "run.name=gated", "review=gate", "rounds.per_agent=14"]
    with Arena.create(load_config("configs/tiny.yaml", given)) as arena:

        def stop(event: str, data: dict[str, Any]) -> None:
            if event == "done" and (data["generation"], data["phase"]) == (2, "read"):
                arena.store.insert({"control": [{"kind": "stop"}]})

        assert not play(arena, stop)
    return folder / "gated"


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


def queued(folder: Path) -> list[Item]:
    run = open_run(folder)
    with reading(run.database) as db:
        return Queue(run).items(db, 9.0)


# -- deciding ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
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
    for path in [*stopped.glob("keys/*"), *stopped.rglob("learner.safetensors")]:
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


# -- the queue -----------------------------------------------------------------------------------------------------


@pytest.fixture
def scored(empty: Path) -> Store:
    """Two generations in which every reason for an item occurs."""
    store = Store(empty / "run.db")
    rows = [problem(2, n, "eve", f"rev | {n}") for n in range(4)]
    tries = [
        (0, "ada", 1, 1, "1"),  # graded, the grader agrees
        (1, "ada", 0, 0, "2"),  # graded, the grader says right; and bob, rated like ada, solved it
        (1, "bob", 1, 1, "1"),
        (2, "bob", 0, 1, "1"),  # right answer, wrong trace
        (2, "bob", 0, 1, "1"),  # the same answer again
        (3, "eve", 0, 0, "9"),  # nothing speaks for it
    ]
    attempts = []
    for number, (at, agent, correct, answer_correct, answer) in enumerate(tries):
        row = attempt(f"g0002r000{at}", number)
        first = not any(a["round"] == row["round"] and a["agent"] == agent for a in attempts)
        attempts.append(row | {"agent": agent, "correct": correct, "answer_correct": answer_correct, "answer": answer,
                               "number": 0 if first else 1})  # fmt: skip
    grades = [
        {"id": f"g0002r000{at}/grader", "generation": 2, "round": f"g0002r000{at}", "attempt": attempts[at]["id"],
         "grader": "cy", "text": "", "answer": "1", "says_correct": 1, "agrees": agrees}
        for at, agrees in ((0, 1), (1, 0))
    ]  # fmt: skip
    rewards = [
        {"generation": g, "agent": a, "role": "solver", "reward": w, "n": 1}
        for g in (1, 2)
        for a, w in (("ada", 0.5), ("bob", 0.5), ("eve", 0.0 + 1.0 * (g == 1)))
    ]
    phases = [phase_row(g, p) for g in (1, 2) for p in ("grade", "measure")]
    store.insert({"problems": rows, "rounds": [round_(r, "") for r in rows], "attempts": attempts, "grades": grades,
                  "rewards": rewards, "phases": phases})  # fmt: skip
    return store


def test_scores_are_the_sums_of_their_reasons(scored: Store) -> None:
    with reading(scored.path) as db:
        items = of_generation(db, 2, 99)
    assert [i.subject for i in items] == ["g0002r0001/s/1", "g0002r0002/s/3", "g0002r0000/s/0"]
    top, trace, plain = items
    assert top.why[0] == "grader cy says right, execution says wrong" and top.agents == ("ada", "cy")
    assert top.title == "rev | 1" and top.what == ATTEMPT and top.round == "g0002r0001"
    near = float(re.search(r"rated like bob, who solved it: intervals (\d+)% the same", "\n".join(top.why))[1]) / 100  # type: ignore[index]
    assert top.score == pytest.approx(0.5 + 0.05 + 0.2 * near, abs=0.002) and near > 0.9
    assert (trace.score, trace.why) == (0.25, ("the answer is right, the trace is not",))
    assert (plain.score, plain.why) == (0.05, ("a label calibrates its grader",))
    assert common(Rating(25, 1), Rating(25, 1)) == 1 and common(Rating(25, 1), Rating(40, 1)) == 0
    assert common(Rating(0, 1), Rating(2, 1)) == pytest.approx(2 / 6)


def test_a_generation_puts_no_more_on_the_desk_than_the_config_says(scored: Store) -> None:
    with reading(scored.path) as db:
        assert [i.subject for i in of_generation(db, 2, 1)] == ["g0002r0001/s/1"]
    run = open_run(scored.path.parent)
    desk, top = Desk(run), "g0002r0001/s/1"
    assert run.per_generation == 8
    queue = Queue(run)
    with reading(scored.path) as db:
        assert len(queue.items(db, 9.0)) == 3
    scored.insert({"control": [{"kind": "decision", "subject": top, "value": "accept"}]})
    with reading(scored.path) as db:
        assert top not in {i.subject for i in queue.items(db, 9.0)}  # and nothing takes its place
    assert desk.undo() == top and desk.undo() is None
    receipt = {"id": "i", "seq": 1, "generation": 3, "kind": "review", "subject": top, "note": "", "body": "{}"}
    scored.insert({"receipts": [receipt | {"decision": "void"}]})
    with reading(scored.path) as db:
        assert top in {i.subject for i in queue.items(db, 9.0)}  # what could not be taken is asked again
        scored.insert({"receipts": [receipt | {"id": "j", "seq": 2, "decision": "reject"}]})
        assert top not in {i.subject for i in queue.items(db, 9.0)}


def test_a_long_run_is_scored_a_generation_at_a_time_the_newest_first(stopped: Path) -> None:
    run = open_run(stopped)
    queue, whole = Queue(run), queued(stopped)
    with reading(run.database) as db:
        first = queue.items(db, 0.0)
        assert queue.more and {i.generation for i in first if i.what == ATTEMPT} == {2}
        assert queue.items(db, 0.0) == whole and not queue.more


def test_graders_under_alarm_put_what_they_graded_higher(scored: Store) -> None:
    grade = scored.query("SELECT * FROM grades LIMIT 1")[0] | {"generation": 1}
    votes = [{"id": f"g0001r{i:04d}/grader", "attempt": f"x{i}", "agrees": i % 2} for i in range(30)]
    scored.insert({"grades": [grade | vote for vote in votes]})
    with reading(scored.path) as db:
        items = {i.subject: i for i in of_generation(db, 2, 99)}
    assert items["g0002r0000/s/0"].score == pytest.approx(0.2)
    assert items["g0002r0000/s/0"].why[0] == "graders are under alarm: they agree with execution in 50% of their votes"


def test_a_large_uplift_on_little_evidence_is_asked_about(scored: Store) -> None:
    ring = KeyRing(scored.path.parent / "keys")
    key = ring.create("ada").public_key
    rows = []
    for seq, name in enumerate(("w1", "w2"), 1):
        post = Post("definition", "ada", 2, name, f"{name} = rev inc", (), "hidden_words")
        signed = sign_post(post, key, lambda data: ring.sign("ada", data))
        rows.append({**signed.to_row(), "seq": seq})
    row = {"generation": 2, "domain": "hidden_words", "split": "dev", "depth": 1, "agent": "ada", "mode": "greedy"}
    row |= {"k": 1, "answer_correct": 1}
    asked = [
        row
        | {"id": f"{name}{i}{r}", "problem": f"{name} | {i}", "reading": r, "k": 1, "correct": r, "answer_correct": 1}
        for name, n in (("w1", 1), ("w2", 40))
        for i in range(n)
        for r in (0, 1)
    ]
    scored.insert({"posts": rows, "evaluations": asked})
    with reading(scored.path) as db:
        items = [i for i in of_generation(db, 2, 99) if i.what == POST]
    assert [(i.subject, i.title, i.round) for i in items] == [(rows[0]["id"], "w1", None)]
    assert items[0].why == ("uplift +1.00 [-0.51, +1.00] from 1 pairs",)
    assert items[0].score == pytest.approx(0.6 * 1.51 / 2, abs=0.01)


def test_posts_that_wait_are_asked_about_however_old_they_are(scored: Store) -> None:
    base = {"author": "ada", "body": "b", "cites": "[]", "public_key": "", "signature": "", "decided": None}
    posts = [
        {"id": "d", "generation": 1, "kind": "definition", "title": "w1", "about": "hidden_words"},
        {"id": "e", "generation": 2, "kind": "worked_example", "title": "rev | 1", "about": "list_programs/g0002r0001"},
        {"id": "f", "generation": 2, "kind": "definition", "title": "w2", "about": "hidden_words", "decided": 2},
    ]
    outcome = {"round": "g0002r0001", "generation": 2, "solve_rate": 0.25, "learnable": 1, "setter_reward": 1}
    later = [phase_row(g, "grade") for g in range(3, 30)]
    scored.insert({"waiting": [base | p for p in posts], "outcomes": [outcome], "phases": later})
    run = open_run(scored.path.parent)
    with reading(run.database) as db:
        d, e = waiting(db)
        assert [i.subject for i in Queue(run).items(db, 9.0)] == [
            "e",
            "d",
        ]  # attempts of generation 2 have left the desk
    assert d.score == pytest.approx(0.6) and d.what == WAITING and d.round is None
    assert e.score == pytest.approx(0.4 + 0.2 * 0.75 + 0.2)
    assert "a grader disagreed with execution in its round" in e.why


def test_the_queue_reads_no_growing_table_whole(stopped: Path) -> None:
    run, sent = open_run(stopped), set[str]()
    with reading(run.database) as db:
        db.set_trace_callback(sent.add)
        Queue(run).items(db, 9.0)
        db.set_trace_callback(None)
    sent = {s for s in sent if s.lstrip().upper().startswith("SELECT")}
    assert len(sent) > 8
    with reading(run.database) as db:
        plans = {(s, plan) for s in sent for *_, plan in db.execute(f"EXPLAIN QUERY PLAN {s}")}
    whole = {(s, p) for s, p in plans if p.startswith("SCAN") and "json_each" not in p and "waiting_open" not in p}
    assert not whole
