"""A run of a million attempts: no query of a screen scans a large table."""

from __future__ import annotations

from pathlib import Path

import pytest

from arena.tools.bench.synthetic_run import Scale, fill
from arena.watch import commands, queries
from arena.watch.history import History
from arena.watch.queries import open_run, read_only
from arena.watch.queries.review import item_detail
from arena.watch.review_queue import ReviewQueue

SCALE = Scale()
GROWING = {"attempts", "reads", "posts", "problems", "rounds", "outcomes", "grades", "guesses", "evaluations"}
GROWING |= {"rewards"}
ALIASES = {"a": "attempts", "r": "reads", "p": "problems", "o": "outcomes", "g": "grades", "l": "posts", "w": "rewards"}


@pytest.mark.slow
def test_refresh_scans_no_large_table(tmp_path: Path) -> None:
    """EXPLAIN QUERY PLAN of every statement: none scans a table that grows with the number of attempts."""
    run = open_run(fill(tmp_path))
    history, sent = History(run), set[str]()
    with read_only(run.database) as db:
        assert db.execute("SELECT MAX(rowid) FROM attempts").fetchone() == (SCALE.tries,) == (1_000_000,)
        while history.step(db, 0.0):
            pass  # the first full read; everything after it is a refresh
        db.set_trace_callback(sent.add)
        history.last_phase -= 1
        history.graded.clear()
        history.scores.rated -= 1
        history.scores.evaluation -= 100
        assert not history.is_of_another_run(db)
        history.step(db)
        assert history.snapshot(db).latest == SCALE.generations and history.snapshot(db, 3).shown == 3
        assert len(queries.rounds(db, 9)) == SCALE.problems and len(queries.rounds(db, 9, "learnable")) == 600
        assert len(queries.rounds(db, 9, "disputed")) == 11
        found = queries.round_detail(db, "g0009r0001")
        assert found and len(found.attempts) == SCALE.attempts
        assert (
            queries.agent_detail(db, "a1") and queries.agent_names(db) and len(queries.posts(db)) == queries.MOST_POSTS
        )
        assert len(queries.posts(db, kind="worked_example")) == queries.MOST_POSTS and not queries.posts(
            db, kind="lesson"
        )
        [found_post] = queries.posts(db, "59", limit=1)
        view = queries.post(db, found_post.id)
        assert view and view.row.seq == 60 and len(view.lineage) == 9
        assert len(queries.posts_by_number(db, history.scores.most_useful(queries.MOST_POSTS))) == queries.MOST_POSTS
        queue = ReviewQueue(run)
        assert [item_detail(db, item).round is not None for item in queue.items(db, 9.0)[:1]] and queue.items(db, 9.0)
        assert (
            commands.run_status(db, run.folder).state == "idle"
            and commands.decision_counts(db) == commands.DecisionCounts()
        )
        db.set_trace_callback(None)
        sent = {s for s in sent if s.lstrip().upper().startswith(("SELECT", "WITH"))}
        assert len(sent) > 20
        for statement in sent:
            for *_, plan in db.execute(f"EXPLAIN QUERY PLAN {statement}"):
                words = plan.split()
                scanned = words[0] == "SCAN" and ALIASES.get(words[1], words[1]) in GROWING
                # agents and retirements are small; "p" may be a subquery that has a LIMIT
                few = words[1:2] in (["a"], ["r"]) and "FROM agents" in statement
                assert not scanned or few or "LIMIT 500" in statement, f"{plan}: {statement}"
