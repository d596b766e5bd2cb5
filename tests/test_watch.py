"""The screens of `watch`: every key at both sizes, on finished, empty and growing runs; what they read, and how."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import ContentSwitcher, DataTable, Input

from agents.identity import KeyRing
from arena.config import load_config
from arena.store import Store
from arena.watch import data, texts
from arena.watch.app import Help, Watch
from arena.watch.data import Busy, open_run, reading
from arena.watch.history import History
from arena.watch.panes import Reader
from arena.watch.plot import columns, strip
from culture.library import Library
from culture.posts import Post, sign_post

SIZES = ((80, 24), (200, 50))
MARKUP = "[bold]x[/] [link=evil]y"
EVIL = f"{MARKUP} \x1b[2Jz\u202e"
Play = Callable[[Watch, Any], Awaitable[None]]


def use(folder: Path, play: Play, size: tuple[int, int] = SIZES[0], interval: float = 30.0) -> None:
    """Open the watcher on a run and let `play` press keys."""

    async def main() -> None:
        app = Watch(open_run(folder), interval)
        async with app.run_test(size=size) as pilot:
            await settle(app, pilot)
            await play(app, pilot)

    asyncio.run(main())


async def settle(app: Watch, pilot: Any) -> None:
    """Wait until all that was asked for has been read and drawn.

    A pause of the pilot lets every widget work off its queue once, but what is drawn last has come through several:
    on a busy machine one pause is not enough. So the screen must be the same over three of them.
    """
    seen: list[str] = []
    while app.is_running and (len(seen) < 3 or len(set(seen[-3:])) > 1):
        while any(not worker.is_finished for worker in app.workers):
            await asyncio.sleep(0.002)
        await pilot.pause()
        busy = any(not worker.is_finished for worker in app.workers)
        seen = [] if busy else [*seen, screen(app)]


async def press(app: Watch, pilot: Any, *keys: str) -> str:
    """Press keys, and give the text on the screen."""
    for key in keys:
        await pilot.press(key)
        await settle(app, pilot)
    return screen(app)


def screen(app: Watch) -> str:
    return "\n".join("".join(s.text for s in line) for line in app.screen._compositor.render_strips())


def copy(folder: Path, to: Path) -> Path:
    to.mkdir()
    shutil.copy(folder / "config.yaml", to)
    with sqlite3.connect(folder / "run.db") as source, sqlite3.connect(to / "run.db") as target:
        source.backup(target)
    return to


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A run of which nothing has been played."""
    config = load_config("configs/tiny.yaml", [f"run.folder={tmp_path}"])
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "config.yaml").write_text(config.to_yaml())
    Store(tmp_path / "tiny" / "run.db", create=True).close()
    return tmp_path / "tiny"


@pytest.fixture
def made(empty: Path) -> Path:
    """A run made by hand: two agents, two generations, three problems, hostile text in all of it."""
    store = Store(empty / "run.db")
    agents = [
        {"name": n, "number": i, "born": b, "parents": p, "inherited": "nothing", "public_key": ""}
        for i, (n, b, p) in enumerate((("ada", 0, "[]"), ("bob", 0, "[]"), ("eve", 1, '["ada"]')))
    ]
    ring = KeyRing(empty / "keys")
    keys = {name: ring.create(name) for name in ("ada", "bob")}
    with store.transaction():
        one = Post("definition", "ada", 1, "w1", "w1 = rev inc", (), "hidden_words")
        two = Post("worked_example", "bob", 2, MARKUP, MARKUP, (one.id,), "list_programs/g0002r0000")
        signed = [sign_post(p, keys[p.author].public_key, partial(ring.sign, p.author)) for p in (one, two)]
        assert [r for _, r in Library(store.db).add(signed, lambda p: None)] == [None, None]
        reads = [
            {"id": str(i), "generation": 2, "phase": phase, "agent": a, "request": "q", "post": p, "propensity": 1.0}
            for i, (phase, a, p) in enumerate(
                [("propose", "eve", one.id), ("sleep", "eve", one.id), ("solve", "ada", two.id)]
            )
        ]
        rows = [problem(1, 0, "ada"), problem(2, 0, "ada", EVIL), problem(2, 1, "eve", valid=0)]
        store.insert(
            {
                "agents": agents,
                "retirements": [{"name": "bob", "generation": 1, "reward": 0.1}],
                "reads": reads,
                "rounds": [round_(r, one.id) for r in rows],
                "problems": rows,
                "attempts": [attempt("g0002r0000", i) for i in range(2)],
                "grades": [
                    {
                        "id": "g0002r0000/grader",
                        "generation": 2,
                        "round": "g0002r0000",
                        "attempt": "g0002r0000/s/0",
                        "grader": "ada",
                        "text": EVIL,
                        "answer": "1",
                        "says_correct": 0,
                        "agrees": 0,
                    }
                ],
                "outcomes": [
                    {
                        "round": r["round"],
                        "generation": r["generation"],
                        "solve_rate": p,
                        "learnable": int(p == 0.5),
                        "setter_reward": w,
                    }
                    for r, p, w in zip(rows, (1.0, 0.5, None), (0.0, 1.0, -0.25), strict=True)
                ],
                "rewards": [
                    {"generation": g, "agent": "ada", "role": "setter", "reward": w, "n": n}
                    for g, w, n in ((1, 0.0, 1), (2, 1.0, 3))
                ],
            }
        )
        phases = [(0, "birth"), (0, "baseline")] + [(g, p) for g in (1, 2) for p in texts.LOOP]
        store.insert({"phases": [phase_row(g, p) for g, p in phases]})
    store.close()
    return empty


def phase_row(g: int, phase: str) -> dict[str, Any]:
    return {"generation": g, "phase": phase, "prompt_tokens": 1, "generated_tokens": 1, "trained_tokens": 0,
            "counted": 1}  # fmt: skip


def problem(g: int, number: int, author: str, text: str = "rev | 1 2", valid: int = 1) -> dict[str, Any]:
    return {"round": f"g{g:04d}r{number:04d}", "generation": g, "domain": "list_programs", "author": author,
            "proposal": text, "text": text if valid else None, "valid": valid, "reason": "ok" if valid else "duplicate",
            "detail": "", "depth": 4 if valid else None, "text_key": f"{g}{number}", "behaviour_key": f"{number}",
            "features": None, "logprob": None, "tokens": 0}  # fmt: skip


def round_(row: dict[str, Any], post: str) -> dict[str, Any]:
    return {"id": row["round"], "generation": row["generation"], "number": int(row["round"][-4:]),
            "domain": "list_programs", "author": row["author"], "setter": "self",
            "solvers": '["bob"]', "grader": "ada", "parent": "w1",
            "parent_post": post}  # fmt: skip


def attempt(id_: str, number: int) -> dict[str, Any]:
    return {"id": f"{id_}/s/{number}", "generation": 2, "round": id_, "agent": "bob", "seat": "s", "number": number,
            "notes": json.dumps([EVIL]), "text": f"rev 1 ; {EVIL} ; inc 3 answer 3", "correct": number,
            "answer_correct": 1, "reason": "ok" if number else "step has the wrong value",
            "step": None if number else 2, "answer": "3", "logprob": None, "tokens": 3}  # fmt: skip


# -- the screens ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_every_key_does_what_the_footer_says(undisturbed: Path, size: tuple[int, int]) -> None:
    async def play(app: Watch, pilot: Any) -> None:
        shown = screen(app)
        assert "generation 3 of 3" in shown and "finished" in shown and "solve rate" in shown and "depth 1-2" in shown
        assert all(m.name in shown for m in app.snapshot.members)  # type: ignore[union-attr]
        assert "q Quit" in shown
        assert "generation 3: 15 set" in await press(app, pilot, "2")
        rows = app.query_one("#problems", DataTable).row_count
        assert "valid shown" in await press(app, pilot, "f")
        assert "learnable shown" in await press(app, pilot, "f")
        assert app.query_one("#problems", DataTable).row_count == app.snapshot.at.learnable < rows  # type: ignore[union-attr]
        assert "generation 2: 15 set" in await press(app, pilot, "left_square_bracket")
        assert "STEPPED BACK from 3" in screen(app)
        assert "generation 3: 15 set" in await press(app, pilot, "right_square_bracket")
        assert "STEPPED" not in screen(app) and app.wanted is None
        await press(app, pilot, *["left_square_bracket"] * 5)
        assert app.wanted == 0 and "this run holds no data for this yet" in screen(app)
        assert "STEPPED" in await press(app, pilot, "1") and "generation 0 of 3" in screen(app)
        assert "STEPPED" not in await press(app, pilot, "end")
        await press(app, pilot, "left_square_bracket")
        assert app.wanted == 2 and "STEPPED" not in await press(app, pilot, "l")
        await press(app, pilot, "2", "f", "down", "enter")
        assert isinstance(app.screen, Reader) and "proposal" in screen(app) and "attempt 1" in screen(app)
        await press(app, pilot, "3")  # nothing switches under an open round
        assert isinstance(app.screen, Reader)
        assert (await press(app, pilot, "escape") and app.query_one(ContentSwitcher).current) == "rounds"
        first = await press(app, pilot, "3")
        assert "best-paid" in first and "n Next" in first and "q Quit" in first
        name = app.query_one("#agent").name_shown  # type: ignore[attr-defined]
        await press(app, pilot, "n")
        assert app.query_one("#agent").name_shown != name  # type: ignore[attr-defined]
        await press(app, pilot, "p")
        assert app.query_one("#agent").name_shown == name  # type: ignore[attr-defined]
        await press(app, pilot, "1", "down", "enter")
        assert app.query_one("#agent").name_shown == app.snapshot.members[1].name  # type: ignore[union-attr, attr-defined]
        assert "the newest" in await press(app, pilot, "4")
        assert "definition" in await press(app, pilot, "k")
        await pilot.press(*["k"] * 8)
        await press(app, pilot, "slash", "1", "end", "q")
        assert app.query_one(Input).value == "1q" and "no posts of all kinds with these words" in screen(app)
        await press(app, pilot, "backspace")
        found = await press(app, pilot, "enter")
        assert "best first" in found and not isinstance(app.focused, Input)
        assert "signature  valid" in await press(app, pilot, "enter") and "readers" in screen(app)
        await press(app, pilot, "escape", "escape")
        assert app.query_one(Input).value == "" and "the newest" in screen(app)
        await press(app, pilot, "question_mark")
        assert isinstance(app.screen, Help) and "a generation back" in screen(app)
        await press(app, pilot, "escape", "ctrl+p")
        assert "Generation back" in screen(app) or "Search for commands" in screen(app)
        await press(app, pilot, "escape", "q")
        assert not app.is_running

    use(undisturbed, play, size)


def test_a_link_of_a_post_opens_the_post_it_names(made: Path) -> None:
    async def play(app: Watch, pilot: Any) -> None:
        shown = await press(app, pilot, "4", "enter")
        assert "cites 1, cited by 0" in shown and "reads      solve 1" in shown
        assert "w1 = rev inc" in await press(app, pilot, "enter") and "cites 0, cited by 1" in screen(app)
        assert "eve 2" in screen(app)  # who read it
        await press(app, pilot, "escape", "escape")
        assert not isinstance(app.screen, Reader)

    use(made, play)


@pytest.mark.parametrize("size", SIZES)
def test_an_empty_run_says_so_on_every_screen(empty: Path, size: tuple[int, int]) -> None:
    async def play(app: Watch, pilot: Any) -> None:
        assert "nothing has been played yet" in screen(app)
        for key in "1234":
            assert "this run holds no data for this yet" in await press(app, pilot, key, "left_square_bracket", "enter")
        await press(app, pilot, "n", "end", "f", "k", "q")

    use(empty, play, size)


def test_hostile_text_is_shown_as_it_is(made: Path) -> None:
    async def play(app: Watch, pilot: Any) -> None:
        for keys in (["2"], ["enter"], ["escape", "3"], ["4"], ["enter"]):
            shown = await press(app, pilot, *keys)
            assert MARKUP in shown
            assert "\x1b" not in shown and "\u202e" not in shown

    use(made, play)


def test_a_disagreeing_grader_is_marked(made: Path) -> None:
    async def play(app: Watch, pilot: Any) -> None:
        assert "!" in await press(app, pilot, "2")
        await press(app, pilot, "enter")
        shown = str(app.screen.text)  # type: ignore[attr-defined]
        assert "DISAGREES with execution" in shown and "step has the wrong value at step 2" in shown
        assert "though the answer is right" in shown and "paid       1.00 to ada" in shown
        assert "definition by ada, generation 1: w1" in shown

    use(made, play)


def test_without_colour_the_same_text_is_shown(undisturbed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    async def play(app: Watch, pilot: Any) -> None:
        seen.append(screen(app))

    use(undisturbed, play)
    monkeypatch.setenv("NO_COLOR", "1")
    use(undisturbed, play)
    assert seen[0] == seen[1]


def test_a_run_is_followed_while_it_grows(undisturbed: Path, tmp_path: Path) -> None:
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
        assert "generation 4: 1 set, 1 valid, not settled yet" in screen(app) and "solve of generation 4" in screen(app)
        await press(app, pilot, "left_square_bracket")
        with store.transaction():
            store.insert({"phases": [phase_row(4, "solve")]})
        app.poll()
        await settle(app, pilot)
        assert "generation 3: 15 set" in screen(app) and "grade of generation 4" in screen(app)
        assert "generation 4: 1 set" in await press(app, pilot, "l")

    use(folder, play)
    store.close()


def test_a_locked_database_is_tried_again_with_a_note(undisturbed: Path, tmp_path: Path) -> None:
    folder = copy(undisturbed, tmp_path / "locked")
    lock = sqlite3.connect(folder / "run.db", isolation_level=None, check_same_thread=False)
    lock.execute("PRAGMA journal_mode=DELETE")
    lock.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Busy), reading(folder / "run.db") as db:
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


# -- folders that are no runs --------------------------------------------------------------------------------------


def test_what_is_no_run_is_refused_before_anything_is_drawn(undisturbed: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="did you mean 'calm'"):
        open_run(undisturbed.parent / "clam")
    with pytest.raises(ValueError, match="no run database"):
        open_run(tmp_path)
    folder = copy(undisturbed, tmp_path / "damaged")
    (folder / "run.db").write_bytes(b"not a database at all" * 1000)
    with pytest.raises(ValueError, match="not a readable run database"):
        open_run(folder)
    (folder / "run.db").write_bytes(b"")
    with pytest.raises(ValueError, match="not a readable run database"):
        open_run(folder)
    folder = copy(undisturbed, tmp_path / "later")
    with sqlite3.connect(folder / "run.db") as db:
        db.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    with pytest.raises(ValueError, match="schema version 99"):
        open_run(folder)
    (folder / "config.yaml").unlink()
    with pytest.raises(ValueError, match="config"):
        open_run(folder)


def test_nothing_can_be_written_and_nothing_is(undisturbed: Path, tmp_path: Path) -> None:
    folder = copy(undisturbed, tmp_path / "kept")
    before = (folder / "run.db").read_bytes()
    with pytest.raises(sqlite3.OperationalError, match="readonly"), reading(folder / "run.db") as db:
        db.execute("DELETE FROM meta")

    async def play(app: Watch, pilot: Any) -> None:
        await press(app, pilot, "2", "enter", "escape", "3", "4", "enter")

    use(folder, play)
    assert (folder / "run.db").read_bytes() == before


# -- what they read ------------------------------------------------------------------------------------------------


def test_the_data_of_a_run_made_by_hand(made: Path) -> None:
    run = open_run(made)
    with reading(run.database) as db:
        s = data.summary(db, 2, frozenset(texts.LOOP), run.main)
        assert (s.proposed, s.valid, s.learnable, s.depth, s.solve_rate, s.distinct, s.duplicates) == (
            2,
            1,
            1,
            4,
            0.5,
            1,
            1,
        )
        assert [m.name for m in data.population(db, 1)] == ["ada", "bob"]  # bob retires after it, eve is born
        assert [m.retiring for m in data.population(db, 1)] == [False, True]
        two = data.population(db, 2)
        assert [(m.name, m.age, m.parents) for m in two] == [("ada", 2, ()), ("eve", 1, ("ada",))]
        assert two[0].rewards == {"setter": 0.75}
        assert [r.round for r in data.rounds(db, 2)] == ["g0002r0000", "g0002r0001"]
        assert [r.disagreement for r in data.rounds(db, 2, "valid")] == [True]
        assert [r.round for r in data.rounds(db, 2, "learnable")] == ["g0002r0000"] and not data.rounds(db, 3)
        with pytest.raises(ValueError, match="all, valid, learnable"):
            data.rounds(db, 2, "best")
        detail = data.round_detail(db, "g0002r0000")
        assert detail and detail.parent_post and detail.parent_post.title == "w1" and len(detail.attempts) == 2
        assert detail.attempts[0].grade and detail.attempts[0].grade.agrees is False and not detail.attempts[1].grade
        assert data.round_detail(db, "g0009r0000") is None and data.life(db, "nobody") is None
        ada, eve = data.life(db, "ada"), data.life(db, "eve")
        assert ada and ada.children == ("eve",) and ada.posts == 1 and ada.readers == (("eve", 2),)
        assert ada.rewards == {"setter": {1: (0.0, 1), 2: (1.0, 3)}} and ada.retired is None
        assert eve and [(p.title, n) for p, n in eve.most_read] == [("w1", 2)] and eve.parents == ("ada",)
        bob = data.life(db, "bob")
        assert bob and bob.retired == 1
        newest, oldest = data.posts(db)
        assert (newest.title, oldest.title) == (MARKUP, "w1")
        assert data.posts(db, kind="definition") == [oldest] and data.posts(db, "rev") == [oldest]
        assert (
            data.posts(db, MARKUP) == [newest] and not data.posts(db, '"(*', "lesson") and not data.posts(db, "nowhere")
        )
        view = data.post(db, newest.id)
        assert view and view.signature == "valid" and view.cites == (oldest,) and view.readers == (("ada", 1),)
        assert data.post(db, "0" * 64) is None


def test_a_post_changed_behind_the_ledger_is_told(made: Path) -> None:
    with sqlite3.connect(made / "run.db") as db:
        db.execute("DROP TRIGGER posts_no_update")
        db.execute("UPDATE posts SET body = 'w1 = rev dec' WHERE seq = 1")
        db.execute("UPDATE posts SET signature = ? WHERE seq = 2", ["0" * 128])
    with reading(made / "run.db") as db:
        two, one = data.posts(db)
        views = data.post(db, one.id), data.post(db, two.id)
    assert views[0] and views[0].signature.startswith("NOT valid: the text hashes to")
    assert views[1] and views[1].signature == "NOT valid for the key of bob"


def test_a_damaged_post_is_told_and_the_screens_go_on(made: Path) -> None:
    with sqlite3.connect(made / "run.db") as db:
        db.execute("DROP TRIGGER posts_no_update")
        db.execute("UPDATE posts SET kind = 'nonsense' WHERE seq = 1")

    async def play(app: Watch, pilot: Any) -> None:
        await press(app, pilot, "4", "down", "enter")
        assert "the post is damaged" in str(app.screen.text)  # type: ignore[attr-defined]
        await press(app, pilot, "escape", "slash", "r", "e", "v")
        assert "this cannot be read" in screen(app) and app.is_running
        assert "this cannot be read" not in await press(app, pilot, "enter", "escape", "2", "1", "4")
        assert "the newest 2" in screen(app)

    use(made, play)


def test_the_history_is_what_the_report_says(undisturbed: Path) -> None:
    from arena.report.analysis import analyze

    run = open_run(undisturbed)
    store = Store(undisturbed / "run.db")
    report = analyze(store, load_config(undisturbed / "config.yaml"))
    store.close()
    history = History(run)
    with reading(run.database) as db:
        while history.step(db, 0.0):
            pass
        assert not history.step(db)  # nothing is read twice
        now, then = history.snapshot(db), history.snapshot(db, 1)
    for found, want in zip(now.summaries[1:], report["generations"], strict=True):
        assert found.proposed == want["proposed"] and found.valid == want["valid"]
        assert found.learnable == want["learnable"] and found.solve_rate == want["solve_rate"]
        assert found.depth == want["mean_difficulty"] and found.distinct == want["distinct_behaviours"]
        assert found.duplicates == want["rejections"].get("duplicate", 0)
    rates = {(s.generation, d): r for s in now.summaries for d, r in s.heldout.items()}
    assert rates == {(r["generation"], r["depth"]): pytest.approx(r["pass_at_1"]) for r in report["heldout"]}
    assert now.posts == report["library"]["by_author"] and now.finished and now.live and now.coming == ""
    assert set(now.alarms) <= set(report["warnings"])
    assert then.shown == 1 and not then.live and [s.generation for s in then.summaries] == [0, 1]
    assert sum(then.posts.values()) == report["generations"][0]["posts"]


def test_alarms_are_told_in_sentences(made: Path) -> None:
    store = Store(made / "run.db")
    with store.transaction():
        grade = {"generation": 2, "round": "r", "attempt": "a", "grader": "ada", "text": "", "answer": "1",
                 "says_correct": 1, "agrees": 0}  # fmt: skip
        store.insert({"grades": [{"id": f"r{i}/grader", **grade} for i in range(30)]})
        store.insert({"problems": [problem(2, n, "ada", valid=0) for n in range(2, 40)]})
    store.close()
    history = History(open_run(made))
    with reading(made / "run.db") as db:
        history.step(db, 9.0)
        found = history.snapshot(db).alarms
        earlier = history.snapshot(db, 1).alarms
    assert any(a.startswith("Graders agree with execution in only 0%") for a in found)
    assert any(a.startswith("Most proposals are rejected lately") for a in found)
    assert not any(a.startswith("Graders") for a in earlier)


def test_strips_keep_their_width_and_leave_gaps() -> None:
    assert strip([0.0, 0.5, 1.0], 3) == ["▁▄▇"]
    assert strip([None, 1.0], 2, 2) == [" ▇", " █"]
    assert strip([], 5) == [""] and columns([1.0], 0) == []
    assert columns([0.0, 1.0, None, None], 2) == [0.5, None]
    for n in (1, 7, 80, 1000):
        assert len(strip([0.3] * n, 60)[0]) <= 60


# -- large runs ----------------------------------------------------------------------------------------------------

GENERATIONS, EACH, TRIES = 250, 1000, 4


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of a million attempts, filled by SQL."""
    folder = tmp_path_factory.mktemp("large")
    config = load_config("configs/tiny.yaml", [f"generations={GENERATIONS}"])
    (folder / "config.yaml").write_text(config.to_yaml())
    store = Store(folder / "run.db", create=True)
    db = store.db.conn
    db.execute("PRAGMA synchronous=OFF")
    count = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
    g, name = f"(i / {EACH} + 1)", "('a' || (i % 8))"
    id_ = f"printf('g%04dr%04d', {g}, i % {EACH})"
    top = GENERATIONS * EACH - 1
    with store.transaction():
        db.execute(f"{count} INSERT INTO agents SELECT {name}, i, 0, '[]', '', '' FROM n", [7])
        db.execute(
            f"{count} INSERT INTO problems SELECT {id_}, {g}, 'list_programs', {name}, 'p', 'p', 1, 'ok', '', 4, i, i,"
            " NULL, NULL, 1 FROM n", [top])  # fmt: skip
        db.execute(f"{count} INSERT INTO outcomes SELECT {id_}, {g}, 0.5, 1, 1.0 FROM n", [top])
        db.execute(
            "INSERT INTO attempts SELECT p.round || '/' || k.value, p.generation, p.round, p.author, 's', k.value,"
            f" '[]', 't', 1, 1, 'ok', NULL, '1', NULL, 1"
            f" FROM problems p, json_each('{list(range(TRIES))}') k")  # fmt: skip
        db.execute(
            f"{count} INSERT INTO posts SELECT printf('%064x', i), i + 1, {g}, 'worked_example', {name}, 't', 'b',"
            " '[]', '', '', '' FROM n", [top // 10])  # fmt: skip
        db.execute(
            f"{count} INSERT INTO reads SELECT i, {g}, 'solve', {name}, 'q', printf('%064x', i / 10), 1.0 FROM n", [top]
        )
        for generation in range(1, GENERATIONS + 1):
            store.insert({"phases": [phase_row(generation, p) for p in texts.LOOP]})
    store.close()
    return folder


@pytest.mark.slow
def test_a_refresh_of_a_million_attempts_reads_no_table_whole(large: Path) -> None:
    """Every statement that any screen sends is explained; none may scan a table that grows with the attempts."""
    run = open_run(large)
    history, sent = History(run), set[str]()
    with reading(run.database) as db:
        assert db.execute("SELECT MAX(rowid) FROM attempts").fetchone() == (GENERATIONS * EACH * TRIES,)
        while history.step(db, 0.0):
            pass  # the first reading; what comes after is a refresh
        db.set_trace_callback(sent.add)
        history.last_phase -= 1
        history.step(db)
        assert history.snapshot(db).latest == GENERATIONS and history.snapshot(db, 3).shown == 3
        assert len(data.rounds(db, 9)) == EACH and len(data.rounds(db, 9, "learnable")) == EACH
        found = data.round_detail(db, "g0009r0001")
        assert found and len(found.attempts) == TRIES
        assert data.life(db, "a1") and len(data.posts(db)) == data.MOST_POSTS
        assert len(data.posts(db, kind="worked_example")) == data.MOST_POSTS and not data.posts(db, kind="lesson")
        assert data.post(db, f"{5:064x}")
        db.set_trace_callback(None)
        sent = {s for s in sent if s.lstrip().upper().startswith("SELECT")}
        assert len(sent) > 15
        large_tables = {"attempts", "a", "reads", "r", "posts", "p", "problems", "outcomes", "o", "grades", "g"}
        for statement in sent:
            for *_, plan in db.execute(f"EXPLAIN QUERY PLAN {statement}"):
                words = plan.split()
                scans = words[0] == "SCAN" and words[1] in large_tables
                # agents and retirements are few; "p" alone may be a subquery that was made small before
                few = words[1:2] in (["a"], ["r"]) and "FROM agents" in statement
                assert not scans or few or "LIMIT 500" in statement, f"{plan}: {statement}"
