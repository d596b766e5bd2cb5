"""Queries and history: refused folders, no writes, and the same figures as the report."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from arena.config.schema import load_config
from arena.run.store import Store
from arena.watch import queries, render
from arena.watch.app import Watch
from arena.watch.history import History
from arena.watch.queries import open_run, read_only
from arena.watch.sparkline import columns, strip
from tests.helpers.screens import MARKUP, copy, press, problem, screen, use


def test_open_run_refuses_what_is_no_run(undisturbed: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="did you mean 'calm'"):
        open_run(undisturbed.parent / "clam")
    with pytest.raises(ValueError, match="no run database"):
        open_run(tmp_path)
    folder = copy(undisturbed, tmp_path / "damaged")
    (folder / "run.db").write_bytes(b"not a database at all" * 1000)
    with pytest.raises(ValueError, match="not a readable run database"):
        open_run(folder)
    (folder / "run.db").write_bytes(b"")
    with pytest.raises(ValueError, match=r"run\.db is empty"):
        open_run(folder)
    folder = copy(undisturbed, tmp_path / "later")
    with sqlite3.connect(folder / "run.db") as db:
        db.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    with pytest.raises(ValueError, match="schema version 99"):
        open_run(folder)
    (folder / "config.yaml").unlink()
    with pytest.raises(ValueError, match="config"):
        open_run(folder)


def test_watching_writes_nothing(undisturbed: Path, tmp_path: Path) -> None:
    folder = copy(undisturbed, tmp_path / "kept")
    before = (folder / "run.db").read_bytes()
    with pytest.raises(sqlite3.OperationalError, match="readonly"), read_only(folder / "run.db") as db:
        db.execute("DELETE FROM meta")

    async def play(app: Watch, pilot: Any) -> None:
        await press(app, pilot, "2", "enter", "escape", "3", "4", "enter")

    use(folder, play)
    assert (folder / "run.db").read_bytes() == before


def test_queries_of_the_handmade_run(made: Path) -> None:
    run = open_run(made)
    with read_only(run.database) as db:
        s = queries.summary(db, 2, frozenset(render.LOOP), run.main)
        assert (s.proposed, s.valid, s.learnable, s.depth, s.solve_rate, s.distinct, s.duplicates) == (
            2,
            1,
            1,
            4,
            0.5,
            1,
            1,
        )
        assert [m.name for m in queries.population(db, 1)] == ["ada", "bob"]  # bob retires after it, eve is born
        assert [m.retiring for m in queries.population(db, 1)] == [False, True]
        two = queries.population(db, 2)
        assert [(m.name, m.age, m.parents) for m in two] == [("ada", 2, ()), ("eve", 1, ("ada",))]
        assert two[0].rewards == {"setter": 0.75}
        assert [r.round for r in queries.rounds(db, 2)] == ["g0002r0000", "g0002r0001"]
        assert [r.disagreement for r in queries.rounds(db, 2, "valid")] == [True]
        assert [r.round for r in queries.rounds(db, 2, "learnable")] == ["g0002r0000"] and not queries.rounds(db, 3)
        assert [r.round for r in queries.rounds(db, 2, "disputed")] == ["g0002r0000"]
        assert not queries.rounds(db, 1, "disputed")
        with pytest.raises(ValueError, match="all, valid, learnable, disputed"):
            queries.rounds(db, 2, "best")
        detail = queries.round_detail(db, "g0002r0000")
        assert detail and detail.parent_post and detail.parent_post.title == "w1" and len(detail.attempts) == 2
        assert detail.attempts[0].grade and detail.attempts[0].grade.agrees is False and not detail.attempts[1].grade
        assert queries.round_detail(db, "g0009r0000") is None and queries.agent_detail(db, "nobody") is None
        ada, eve = queries.agent_detail(db, "ada"), queries.agent_detail(db, "eve")
        assert ada and ada.children == ("eve",) and ada.posts == 1 and ada.readers == (("eve", 2),)
        assert ada.rewards == {"setter": {1: (0.0, 1), 2: (1.0, 3)}} and ada.retired is None
        assert eve and [(p.title, n) for p, n in eve.most_read] == [("w1", 2)] and eve.parents == ("ada",)
        bob = queries.agent_detail(db, "bob")
        assert bob and bob.retired == 1
        newest, oldest = queries.posts(db)
        assert (newest.title, oldest.title) == (MARKUP, "w1")
        assert queries.posts(db, kind="definition") == [oldest] and queries.posts(db, "rev") == [oldest]
        assert (
            queries.posts(db, MARKUP) == [newest]
            and not queries.posts(db, '"(*', "lesson")
            and not queries.posts(db, "nowhere")
        )
        view = queries.post(db, newest.id)
        assert view and view.signature == "valid" and view.cites == (oldest,) and view.readers == (("ada", 1),)
        assert queries.post(db, "0" * 64) is None


def test_changed_post_has_invalid_signature(made: Path) -> None:
    with sqlite3.connect(made / "run.db") as db:
        db.execute("DROP TRIGGER posts_no_update")
        db.execute("UPDATE posts SET body = 'w1 = rev dec' WHERE seq = 1")
        db.execute("UPDATE posts SET signature = ? WHERE seq = 2", ["0" * 128])
    with read_only(made / "run.db") as db:
        two, one = queries.posts(db)
        views = queries.post(db, one.id), queries.post(db, two.id)
    assert views[0] and views[0].signature.startswith("NOT valid: the text hashes to")
    assert views[1] and views[1].signature == "NOT valid for the key of bob"


def test_damaged_post_is_reported(made: Path) -> None:
    with sqlite3.connect(made / "run.db") as db:
        db.execute("DROP TRIGGER posts_no_update")
        db.execute("UPDATE posts SET kind = 'nonsense' WHERE seq = 1")

    async def play(app: Watch, pilot: Any) -> None:
        await press(app, pilot, "4", "down", "enter")
        assert "the post is damaged" in str(app.screen.text)  # type: ignore[attr-defined]
        await press(app, pilot, "escape", "slash", "r", "e", "v")
        assert "cannot read this part of the run" in screen(app) and app.is_running
        assert "cannot read this part of the run" not in await press(app, pilot, "enter", "escape", "2", "1", "4")
        assert "the newest 2" in screen(app)

    use(made, play)


def test_history_equals_the_report(undisturbed: Path) -> None:
    from arena.report.metrics.run_summary import analyze

    run = open_run(undisturbed)
    store = Store(undisturbed / "run.db")
    report = analyze(store, load_config(undisturbed / "config.yaml"))
    store.close()
    history = History(run)
    with read_only(run.database) as db:
        while history.step(db, 0.0):
            pass
        assert not history.step(db)  # no row is read twice
        now, then = history.snapshot(db), history.snapshot(db, 1)
    for found, want in zip(now.summaries[1:], report["generations"], strict=True):
        assert found.proposed == want["proposed"] and found.valid == want["valid"]
        assert found.learnable == want["learnable"] and found.solve_rate == want["solve_rate"]
        assert found.depth == want["mean_difficulty"] and found.distinct == want["distinct_behaviours"]
        assert found.duplicates == want["rejections"].get("duplicate", 0)
    rates = {(s.generation, d): r for s in now.summaries for d, r in s.heldout.items()}
    assert rates == {(r["generation"], r["depth"]): pytest.approx(r["pass_at_1"]) for r in report["heldout"]}
    assert now.posts == report["library"]["by_author"] and now.finished and now.live and now.next_phase == ""
    assert set(now.alarms) <= set(report["warnings"])
    assert then.shown == 1 and not then.live and [s.generation for s in then.summaries] == [0, 1]
    assert sum(then.posts.values()) == report["generations"][0]["posts"]


def test_alarms(made: Path) -> None:
    store = Store(made / "run.db")
    with store.transaction():
        grade = {"generation": 2, "round": "r", "attempt": "a", "grader": "ada", "text": "", "answer": "1",
                 "says_correct": 1, "agrees": 0}  # fmt: skip
        store.insert({"grades": [{"id": f"r{i}/grader", **grade} for i in range(30)]})
        store.insert({"problems": [problem(2, n, "ada", valid=0) for n in range(2, 40)]})
    store.close()
    history = History(open_run(made))
    with read_only(made / "run.db") as db:
        history.step(db, 9.0)
        found = history.snapshot(db).alarms
        earlier = history.snapshot(db, 1).alarms
    assert any(a.startswith("Graders agree with execution in only 0%") for a in found)
    assert any(a.startswith("Most recent proposals were rejected") for a in found)
    assert not any(a.startswith("Graders") for a in earlier)


def test_strips_keep_width_and_gaps() -> None:
    assert strip([0.0, 0.5, 1.0], 3) == ["▁▄▇"]
    assert strip([None, 1.0], 2, 2) == [" ▇", " █"]
    assert strip([], 5) == [""] and columns([1.0], 0) == []
    assert columns([0.0, 1.0, None, None], 2) == [0.5, None]
    for n in (1, 7, 80, 1000):
        assert len(strip([0.3] * n, 60)[0]) <= 60
