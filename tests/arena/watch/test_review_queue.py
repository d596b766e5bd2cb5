"""The review queue: its items, their order and reasons, and that its queries use indices."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agents.identity import KeyRing
from arena.report.stats.ratings import Rating
from arena.run.store import Store
from arena.watch.commands import RunControl
from arena.watch.queries import open_run, read_only
from arena.watch.review_queue import ATTEMPT, POST, WAITING, ReviewQueue, generation_items, interval_overlap, waiting
from culture.posts import Post, sign_post
from tests.helpers.screens import attempt, phase_row, problem, queued, round_


@pytest.fixture
def scored(empty: Path) -> Store:
    """Two generations in which every reason for a review item occurs."""
    store = Store(empty / "run.db")
    rows = [problem(2, n, "eve", f"rev | {n}") for n in range(4)]
    tries = [
        (0, "ada", 1, 1, "1"),  # graded, the grader agrees
        (1, "ada", 0, 0, "2"),  # graded, the grader says right; and bob, rated like ada, solved it
        (1, "bob", 1, 1, "1"),
        (2, "bob", 0, 1, "1"),  # right answer, wrong trace
        (2, "bob", 0, 1, "1"),  # the same answer again
        (3, "eve", 0, 0, "9"),  # no reason to review it
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


def test_score_is_the_sum_of_reasons(scored: Store) -> None:
    with read_only(scored.path) as db:
        items = generation_items(db, 2, 99)
    assert [i.subject for i in items] == ["g0002r0001/s/1", "g0002r0002/s/3", "g0002r0000/s/0"]
    top, trace, plain = items
    assert top.why[0] == "grader cy says right, execution says wrong" and top.agents == ("ada", "cy")
    assert top.title == "rev | 1" and top.what == ATTEMPT and top.round == "g0002r0001"
    near = float(re.search(r"bob, rated about the same \((\d+)% overlap\), solved it", "\n".join(top.why))[1]) / 100  # type: ignore[index]
    assert top.score == pytest.approx(0.5 + 0.05 + 0.2 * near, abs=0.002) and near > 0.9
    assert (trace.score, trace.why) == (0.25, ("the answer is right, the trace is not",))
    assert (plain.score, plain.why) == (0.05, ("a label calibrates its grader",))
    assert interval_overlap(Rating(25, 1), Rating(25, 1)) == 1 and interval_overlap(Rating(25, 1), Rating(40, 1)) == 0
    assert interval_overlap(Rating(0, 1), Rating(2, 1)) == pytest.approx(2 / 6)


def test_items_per_generation_are_limited(scored: Store) -> None:
    with read_only(scored.path) as db:
        assert [i.subject for i in generation_items(db, 2, 1)] == ["g0002r0001/s/1"]
    run = open_run(scored.path.parent)
    control, top = RunControl(run), "g0002r0001/s/1"
    assert run.per_generation == 8
    queue = ReviewQueue(run)
    with read_only(scored.path) as db:
        assert len(queue.items(db, 9.0)) == 3
    scored.insert({"control": [{"kind": "decision", "subject": top, "value": "accept"}]})
    with read_only(scored.path) as db:
        assert top not in {i.subject for i in queue.items(db, 9.0)}  # and no other item takes its place
    assert control.undo() == top and control.undo() is None
    receipt = {"id": "i", "seq": 1, "generation": 3, "kind": "review", "subject": top, "note": "", "body": "{}"}
    scored.insert({"receipts": [receipt | {"decision": "void"}]})
    with read_only(scored.path) as db:
        assert top in {i.subject for i in queue.items(db, 9.0)}  # a decision that could not be applied is void
        scored.insert({"receipts": [receipt | {"id": "j", "seq": 2, "decision": "reject"}]})
        assert top not in {i.subject for i in queue.items(db, 9.0)}


def test_newest_generation_is_scored_first(stopped: Path) -> None:
    run = open_run(stopped)
    queue, whole = ReviewQueue(run), queued(stopped)
    with read_only(run.database) as db:
        first = queue.items(db, 0.0)
        assert queue.more and {i.generation for i in first if i.what == ATTEMPT} == {2}
        assert queue.items(db, 0.0) == whole and not queue.more


def test_grader_alarm_raises_scores(scored: Store) -> None:
    grade = scored.query("SELECT * FROM grades LIMIT 1")[0] | {"generation": 1}
    votes = [{"id": f"g0001r{i:04d}/grader", "attempt": f"x{i}", "agrees": i % 2} for i in range(30)]
    scored.insert({"grades": [grade | vote for vote in votes]})
    with read_only(scored.path) as db:
        items = {i.subject: i for i in generation_items(db, 2, 99)}
    assert items["g0002r0000/s/0"].score == pytest.approx(0.2)
    assert items["g0002r0000/s/0"].why[0] == "grader alarm: graders agree with execution in only 50% of their votes"


def test_uncertain_uplift_is_queued(scored: Store) -> None:
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
    with read_only(scored.path) as db:
        items = [i for i in generation_items(db, 2, 99) if i.what == POST]
    assert [(i.subject, i.title, i.round) for i in items] == [(rows[0]["id"], "w1", None)]
    assert items[0].why == ("uplift +1.00 [-0.51, +1.00] from 1 pairs",)
    assert items[0].score == pytest.approx(0.6 * 1.51 / 2, abs=0.01)


def test_waiting_posts_stay_in_the_queue(scored: Store) -> None:
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
    with read_only(run.database) as db:
        d, e = waiting(db)
        assert [i.subject for i in ReviewQueue(run).items(db, 9.0)] == [
            "e",
            "d",
        ]  # attempts of generation 2 have left the queue
    assert d.score == pytest.approx(0.6) and d.what == WAITING and d.round is None
    assert e.score == pytest.approx(0.4 + 0.2 * 0.75 + 0.2)
    assert "a grader disagreed with execution in its round" in e.why


def test_queue_scans_no_large_table(stopped: Path) -> None:
    run, sent = open_run(stopped), set[str]()
    with read_only(run.database) as db:
        db.set_trace_callback(sent.add)
        ReviewQueue(run).items(db, 9.0)
        db.set_trace_callback(None)
    sent = {s for s in sent if s.lstrip().upper().startswith("SELECT")}
    assert len(sent) > 8
    with read_only(run.database) as db:
        plans = {(s, plan) for s in sent for *_, plan in db.execute(f"EXPLAIN QUERY PLAN {s}")}
    whole = {(s, p) for s, p in plans if p.startswith("SCAN") and "json_each" not in p and "waiting_open" not in p}
    assert not whole
