"""A reviewer's decisions: what becomes of them, that they last, and that nothing else changes a run."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import arena.loop as loop
from arena.config.schema import load_config, make_config
from arena.loop import play
from arena.phases.grade import label_rewards
from arena.report.metrics.grader_calibration import calibration, reviewed
from arena.report.metrics.run_summary import analyze
from arena.run.receipts import REJECTED, verify_receipts
from arena.run.state import Arena
from arena.run.store import Row, Store
from tests.helpers.crashes import Crash, die_inside_every_transaction

TINY, MORE = "configs/tiny.yaml", "rounds.per_agent=14"
Script = Callable[[Store, int], None]


def start(folder: Path, name: str, mode: str, *overrides: str) -> Arena:
    given = [f"run.folder={folder}", f"run.name={name}", f"review={mode}", *overrides]
    return Arena.create(load_config(TINY, given))


def digest(folder: Path) -> str:
    return Store(folder / "run.db").digest()


def decide(store: Store, subject: str, value: str | None = "accept", note: str = "", kind: str = "decision") -> None:
    row = {"kind": kind, "subject": subject, "value": value, "note": note, "made": "2026-01-01T00:00:00"}
    store.insert({"control": [row]})


def graded(store: Store, g: int) -> list[Row]:
    return store.query("SELECT * FROM grades WHERE generation = ? ORDER BY id", [g])


def waiting(store: Store, g: int) -> list[str]:
    return [r["id"] for r in store.query("SELECT id FROM waiting WHERE generation = ? ORDER BY rowid", [g])]


def a_reviewer(store: Store, g: int) -> None:
    """Decides after each generation: on two graded attempts, on posts that wait, and on some things it cannot."""
    for number, row in enumerate(graded(store, g)[:2]):
        decide(store, row["attempt"], ("accept", "reject")[number], "seen \x00 [bold]\u202e")
    posts = waiting(store, g)
    for id_, value in zip(posts, ("accept", "reject", "accept"), strict=False):
        decide(store, id_, value, "why")
    if g == 2:
        decide(store, waiting(store, 1)[3])  # it has waited for a generation
        decide(store, waiting(store, 1)[0])  # it was decided before
        decide(store, "g0001r9999/solver_0/0")
        decide(store, graded(store, 1)[2]["attempt"], "perhaps")


def plain(script: Script) -> Callable[[Arena], loop.Listener]:
    def of(arena: Arena) -> loop.Listener:
        def listen(event: str, data: dict[str, Any]) -> None:
            if event == "done" and data["phase"] == "measure":
                script(arena.store, data["generation"])

        return listen

    return of


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose posts waited for a reviewer, who decided on some."""
    folder = tmp_path_factory.mktemp("gated")
    with start(folder, "gated", "gate", MORE) as arena:
        assert play(arena, plain(a_reviewer)(arena))
    return folder / "gated"


@pytest.fixture
def store(gated: Path) -> Store:
    return Store(gated / "run.db")


def test_review_is_off_by_default() -> None:
    assert make_config({}).review.mode == "off" and make_config({"review": False}).review.mode == "off"
    assert make_config({"review": {"mode": False}}).review.mode == "off"
    assert make_config({}, ["review=off"]).review.mode == "off"
    assert make_config({"review": "sample"}, ["review.per_generation=3"]).review.per_generation == 3
    assert make_config({"review": "gate"}).to_yaml().count("mode: gate") == 1
    for wrong, says in (("smaple", "did you mean 'sample'"), (True, "expected 'off', 'sample' or 'gate'")):
        with pytest.raises(ValueError, match=says):
            make_config({"review": wrong})


@pytest.mark.slow
def test_no_decisions_change_nothing(undisturbed: Path, tmp_path: Path) -> None:
    def all_graded(store: Store, g: int) -> None:
        for row in graded(store, g):
            decide(store, row["attempt"])

    with start(tmp_path, "alone", "off") as arena:
        play(arena, plain(all_graded)(arena))
        assert not arena.store.query("SELECT 1 FROM control WHERE taken IS NOT NULL")
        assert not arena.store.query("SELECT 1 FROM receipts")
    with start(tmp_path, "sample", "sample") as arena:
        play(arena)
    assert digest(tmp_path / "alone") == digest(tmp_path / "sample") == digest(undisturbed)


def test_decisions_become_signed_receipts(store: Store) -> None:
    rows = store.query("SELECT * FROM receipts ORDER BY seq")
    assert [r["seq"] for r in rows] == list(range(1, len(rows) + 1)) and verify_receipts(store) == []
    assert {r["generation"] for r in rows} == {2, 3}  # nothing is taken after the last
    asked = {r["seq"]: r for r in store.query("SELECT * FROM control")}
    assert {r["taken"] for r in asked.values()} == {2, 3, None}
    one = rows[0]
    said = json.loads(one["body"])
    attempt = store.query("SELECT * FROM attempts WHERE id = ?", [one["subject"]])[0]
    assert one["decision"] == "accept" and one["kind"] == "review" and one["note"] == "seen \x00 [bold]\u202e"
    assert said["agent"] == attempt["agent"] and said["execution_correct"] == attempt["answer_correct"]
    void = [(r["subject"], json.loads(r["body"])["void"]) for r in rows if r["decision"] == "void"]
    assert [why for _, why in void] == [
        "it was decided before",
        "there is no attempt and no post of this id",
        "a decision is accept or reject, not 'perhaps'",
    ]


def test_labels_hold_reviewer_grader_and_execution(store: Store) -> None:
    rows = store.query("SELECT * FROM labels ORDER BY rowid")
    assert len(rows) == 4 and [r["says_right"] for r in rows] == [1, 0, 1, 0]
    for r in rows:
        grade = store.query("SELECT * FROM grades WHERE attempt = ?", [r["attempt"]])[0]
        says = grade["says_correct"]
        assert r["grader"] == grade["grader"]
        assert r["grader_agrees"] == (None if says is None else int(says == r["says_right"]))
        attempt = store.query("SELECT answer_correct FROM attempts WHERE id = ?", [r["attempt"]])[0]
        assert r["execution_correct"] == attempt["answer_correct"]


def test_label_pays_its_grader_when_taken(store: Store) -> None:
    for g in (2, 3):
        paid = store.query("SELECT agent, reward, n FROM rewards WHERE generation = ? AND role = 'grader'", [g])
        votes = store.query("SELECT grader, agrees FROM grades WHERE generation = ? AND agrees IS NOT NULL", [g])
        sql = "SELECT grader, grader_agrees AS agrees FROM labels WHERE generation = ? AND grader NOT IN"
        labels = store.query(f"{sql} (SELECT name FROM retirements WHERE generation < {g})", [g])
        want: dict[str, list[int]] = {}
        for r in [*votes, *(r for r in labels if r["agrees"] is not None)]:
            want.setdefault(r["grader"], []).append(r["agrees"])
        assert {r["agent"]: (r["n"], r["reward"]) for r in paid} == {
            a: (len(x), pytest.approx(sum(x) / len(x))) for a, x in want.items()
        }
        assert sum(r["n"] for r in paid) > len(votes)  # at least one label was paid


def test_only_living_graders_with_a_vote_are_paid() -> None:
    labels = [
        {"grader": a, "grader_agrees": v} for a, v in (("ada", 1), ("ada", 0), ("bob", None), (None, None), ("cy", 1))
    ]
    assert label_rewards(labels, ["ada", "bob"]) == [("ada", 1.0), ("ada", 0.0)]


def test_only_accepted_posts_are_added(store: Store) -> None:
    first, second = waiting(store, 1), waiting(store, 2)
    assert len(first) > 4 and len(second) >= 3
    posts = store.query("SELECT id, generation FROM posts ORDER BY seq")
    assert [p["id"] for p in posts] == [first[0], first[2], second[0], second[2], first[3]]
    assert [p["generation"] for p in posts] == [1, 1, 2, 2, 1]
    refused = store.query("SELECT post, generation, note FROM refusals WHERE reason = ?", [REJECTED])
    assert [(r["post"], r["generation"], r["note"]) for r in refused] == [(first[1], 2, "why"), (second[1], 3, "why")]
    decided = {r["id"]: r["decided"] for r in store.query("SELECT id, decided FROM waiting")}
    assert decided[first[0]] == decided[first[1]] == 2 and decided[first[3]] == 3 and decided[first[4]] is None
    sql = "SELECT COUNT(*) AS n FROM reads r JOIN posts p ON p.id = r.post WHERE r.generation < 2"
    assert store.query(sql)[0]["n"] == 0  # nothing is read before it was let in


def test_waiting_name_is_not_defined_again(tmp_path: Path) -> None:
    with start(tmp_path, "names", "gate", "rounds.guesses=30") as arena:
        play(arena)
        names = [r["title"] for r in arena.store.query("SELECT title FROM waiting WHERE kind = 'definition'")]
        assert names and len(names) == len(set(names)) and arena.state.library.count() == 0


def test_accepted_posts_are_still_checked(tmp_path: Path) -> None:
    def tamper(store: Store, g: int) -> None:
        for id_ in waiting(store, g)[:2]:
            decide(store, id_)
        if g == 1:
            store.db.execute("UPDATE waiting SET body = body || ' 1' WHERE id = ?", [waiting(store, 1)[0]])

    with start(tmp_path, "tampered", "gate") as arena:
        play(arena, plain(tamper)(arena))
        first = waiting(arena.store, 1)
        assert first[1] in {p["id"] for p in arena.store.query("SELECT id FROM posts")}
        assert [r["reason"] for r in arena.store.query("SELECT reason FROM refusals")] == ["bad signature"]
        assert arena.state.library.verify() == []


def test_reopened_run_has_the_same_bank(gated: Path, tmp_path: Path) -> None:
    with start(tmp_path, "same", "gate", MORE) as arena:
        play(arena, plain(a_reviewer)(arena))
        before, kept = list(arena.state.bank.entries), set(arena.state.seen)
    with Arena.open(tmp_path / "same") as arena:
        assert arena.state.bank.entries == before and arena.state.seen == kept and len(before) >= 3
    assert digest(tmp_path / "same") == digest(gated)


@pytest.mark.slow
def test_reviewed_run_killed_after_every_phase(gated: Path, tmp_path: Path) -> None:
    """Commands and decisions taken back shift the numbers in `control`; nothing that is hashed depends on them."""

    def stopping(arena: Arena) -> loop.Listener:
        def listen(event: str, data: dict[str, Any]) -> None:
            if event == "done":
                if data["phase"] == "measure":
                    decide(arena.store, "taken back")
                    arena.store.db.execute("DELETE FROM control WHERE subject = 'taken back'")
                    a_reviewer(arena.store, data["generation"])
                decide(arena.store, "", kind="resume")
                raise Crash

        return listen

    finish(start(tmp_path, "halting", "gate", MORE), stopping)
    assert digest(tmp_path / "halting") == digest(gated)


@pytest.mark.slow
def test_reviewed_run_killed_in_every_transaction(gated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    died = die_inside_every_transaction(monkeypatch)
    finish(start(tmp_path, "dying", "gate", MORE), plain(a_reviewer))
    assert len(died) == 2 + 8 * 3 + 1
    assert digest(tmp_path / "dying") == digest(gated)


# -- posts that the library holds ------------------------------------------------------------------------------------


def rejecting(store: Store, g: int) -> None:
    """After the first generation: no to three posts of the library; later no to one of them again."""
    posts = [r["id"] for r in store.query("SELECT id FROM posts WHERE generation = 1 ORDER BY kind, seq")]
    if g == 1:
        for id_ in posts[:3]:
            decide(store, id_, "reject", "not so")
        decide(store, posts[3], "accept")
    if g == 2:
        decide(store, posts[0], "reject")


HELD = ("rounds.per_agent=14", "rounds.guesses=30", "seed=3", "domains.list_programs.share=0.5",
        "domains.hidden_words.share=0.5")  # fmt: skip


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of which a reviewer rejected posts that the library held."""
    folder = tmp_path_factory.mktemp("held")
    with start(folder, "held", "sample", *HELD) as arena:
        assert play(arena, plain(rejecting)(arena))
        assert arena.state.library.verify() == []
    return folder / "held"


def test_rejected_post_leaves_the_index(held: Path, tmp_path: Path) -> None:
    store = Store(held / "run.db")
    gone = store.query("SELECT * FROM removals ORDER BY rowid")
    receipts = {r["id"]: r for r in store.query("SELECT * FROM receipts")}
    assert len(gone) == 3 and {(r["state"], r["generation"], r["reason"]) for r in gone} == {("rejected", 2, "not so")}
    for r in gone:
        receipt = receipts[r["cause"]]
        assert (receipt["subject"], receipt["decision"], receipt["generation"]) == (r["post"], "reject", 2)
        assert json.loads(receipt["body"])["removed"] is True
    assert sorted(r["decision"] for r in receipts.values()) == ["accept", "reject", "reject", "reject", "void"]
    ids = {r["post"] for r in gone}
    with start(tmp_path, "calm", "off", *HELD) as arena:
        play(arena)
        used = arena.store.query("SELECT post FROM reads WHERE generation > 1 UNION SELECT parent_post FROM rounds")
        assert ids & {r["post"] for r in used}  # undisturbed, they are read
    read = store.query(
        "SELECT post FROM reads WHERE generation > 1 UNION SELECT post FROM withheld WHERE generation > 1"
    )
    assert not ids & {r["post"] for r in read}
    assert not ids & {r["parent_post"] for r in store.query("SELECT parent_post FROM rounds WHERE generation > 1")}
    assert verify_receipts(store) == [] and {r["id"] for r in store.query("SELECT id FROM posts")} >= ids


def test_rejecting_a_removed_post(tmp_path: Path) -> None:
    def both(store: Store, g: int) -> None:
        posts = [r["id"] for r in store.query("SELECT id FROM posts WHERE kind = 'definition' ORDER BY seq")]
        if g == 1:
            decide(store, posts[0], "reject")  # and it is forgotten in the same phase, were it not rejected
        if g == 3:
            gone = [r["post"] for r in store.query("SELECT post FROM removals WHERE state = 'forgotten'")]
            decide(store, gone[0], "reject")

    with start(tmp_path, "both", "sample", *HELD, "generations=4", "library.forget=budget", "library.index=1") as arena:
        play(arena, plain(both)(arena))
        rejected = arena.store.query("SELECT subject, body FROM receipts WHERE decision = 'reject' ORDER BY seq")
        states = {r["post"]: r["state"] for r in arena.store.query("SELECT post, state FROM removals")}
        assert [states[r["subject"]] for r in rejected] == ["rejected", "forgotten"]
        assert [json.loads(r["body"]).get("removed") for r in rejected] == [True, None]
        assert verify_receipts(arena.store) == [] and arena.state.library.verify() == []


@pytest.mark.slow
def test_rejections_survive_kills_in_transactions(held: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(die_inside_every_transaction(monkeypatch)) == 0
    finish(start(tmp_path, "dying", "sample", *HELD), plain(rejecting))
    assert digest(tmp_path / "dying") == digest(held)


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("DELETE FROM removals WHERE rowid = 1", "receipt 1 .*it took out post .* and no removal says so"),
        ("UPDATE removals SET post = 'other' WHERE rowid = 1", "receipt 1 .*it took out post"),
        ("UPDATE removals SET cause = 'other' WHERE rowid = 1", "removal of .* as rejected: no receipt bears it out"),
        ("INSERT INTO removals VALUES ('x', 2, 'rejected', 'y', '')", "removal of x as rejected: no receipt"),
    ],
)
def test_forged_removals_are_found(held: Path, tmp_path: Path, sql: str, says: str) -> None:
    copy = tmp_path / "run.db"
    with sqlite3.connect(held / "run.db") as source, sqlite3.connect(copy) as target:
        source.backup(target)
        for trigger in ("no_update", "no_delete"):
            target.execute(f"DROP TRIGGER removals_{trigger}")
        assert target.execute(sql).rowcount
    assert re.search(says, "\n".join(verify_receipts(Store(copy))))


def finish(arena: Arena, listener: Callable[[Arena], loop.Listener]) -> None:
    while True:
        try:
            play(arena, listener(arena))
            break
        except Crash:
            arena.close()
            arena = Arena.open(arena.folder)
    arena.close()


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("UPDATE receipts SET decision = 'reject' WHERE seq = 1", "receipt 1 .*bad id"),
        ("UPDATE receipts SET note = 'other' WHERE seq = 2", "receipt 2 .*bad id"),
        ("UPDATE receipts SET body = replace(body, '1', '0') WHERE seq = 1", "receipt 1 .*bad id"),
        ("UPDATE receipts SET signature = replace(signature, 'a', 'b') WHERE seq = 1", "receipt 1 .*bad signature"),
        ("UPDATE receipts SET signature = 'nonsense' WHERE seq = 1", "receipt 1 .*bad signature"),
        ("DELETE FROM receipts WHERE seq = 2", "expected receipt 2 here; something is missing"),
        ("UPDATE labels SET says_right = 1 - says_right", "label of .*: no receipt bears it out"),
        ("INSERT INTO labels VALUES ('g0001r0000/solver_0/0x', 2, NULL, 1, NULL, 1)", "label of .*0x: no receipt"),
    ],
)
def test_changed_receipts_are_found(gated: Path, tmp_path: Path, sql: str, says: str) -> None:
    copy = tmp_path / "run.db"
    with sqlite3.connect(gated / "run.db") as source, sqlite3.connect(copy) as target:
        source.backup(target)
        assert target.execute(sql).rowcount
    found = verify_receipts(Store(copy))
    assert re.search(says, "\n".join(found)), found


def test_receipt_with_another_key_is_found(gated: Path, tmp_path: Path) -> None:
    from agents.identity import KeyRing

    copy, ring = tmp_path / "run.db", KeyRing(tmp_path / "keys")
    with sqlite3.connect(gated / "run.db") as source, sqlite3.connect(copy) as target:
        source.backup(target)
        (id_,) = target.execute("SELECT id FROM receipts WHERE seq = 2").fetchone()
        key, signature = ring.create("arena").public_key, ring.sign("arena", bytes.fromhex(id_)).hex()
        target.execute("UPDATE receipts SET public_key = ?, signature = ? WHERE seq = 2", [key, signature])
    assert [p.partition(": ")[2] for p in verify_receipts(Store(copy))] == ["signed with another key than the first"]


def test_calibration_matches_the_rows(store: Store) -> None:
    rows = calibration(store)
    assert [r["grader"] for r in rows] == sorted(r["grader"] for r in rows)
    assert sum(r["graded"] for r in rows) == store.query("SELECT COUNT(*) AS n FROM grades")[0]["n"]
    sql = "SELECT COUNT(grader_agrees) AS n FROM labels"
    assert sum(r["labelled"] for r in rows) == store.query(sql)[0]["n"] > 0
    for r in rows:
        if r["votes"]:
            assert 0 <= r["execution_low"] <= r["execution"] <= r["execution_high"] <= 1
        assert (r["human"] is None) == (r["labelled"] == 0) == (r["human_low"] is None)


def test_calibration_by_hand(tmp_path: Path) -> None:
    store = Store(tmp_path / "run.db", create=True)
    assert calibration(store) == [] and reviewed(store) == {"labels": 0, "against_execution": 0}
    grade = {"generation": 1, "round": "r", "attempt": "a", "text": "", "answer": "1", "says_correct": 1}
    votes = [("ada", 1), ("ada", 1), ("ada", 0), ("ada", None), ("bob", None)]
    store.insert({"grades": [{"id": str(i), "grader": a, "agrees": v, **grade} for i, (a, v) in enumerate(votes)]})
    labels = [("ada", 1, 1, 1), ("ada", 0, 0, 1), (None, None, 1, 1)]
    store.insert(
        {
            "labels": [
                {
                    "attempt": str(i),
                    "generation": i,
                    "grader": a,
                    "grader_agrees": v,
                    "says_right": s,
                    "execution_correct": x,
                }
                for i, (a, v, s, x) in enumerate(labels)
            ]
        }
    )
    ada, bob = calibration(store)
    assert (ada["graded"], ada["votes"], ada["labelled"]) == (4, 3, 2)
    assert ada["execution"] == pytest.approx(2 / 3) and ada["human"] == 0.5
    assert ada["human_low"] == pytest.approx(0.0945, abs=1e-3) and ada["human_high"] == pytest.approx(0.9055, abs=1e-3)
    assert bob == {
        "grader": "bob", "graded": 1, "votes": 0, "labelled": 0, "execution": None, "execution_low": None,
        "execution_high": None, "human": None, "human_low": None, "human_high": None,
    }  # fmt: skip
    assert reviewed(store) == {"labels": 3, "against_execution": 1}
    assert reviewed(store, 0) == {"labels": 1, "against_execution": 0}


def test_disagreement_with_execution_is_an_alarm(gated: Path, store: Store) -> None:
    against = reviewed(store)["against_execution"]
    assert against > 0
    found = analyze(store, load_config(gated / "config.yaml"))["warnings"]
    assert [w for w in found if "reviewer" in w] == [
        f"A reviewer disagrees with execution on {against} of {reviewed(store)['labels']} labelled attempts."
    ]
