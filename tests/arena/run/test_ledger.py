"""The ledger: which leaves and heads are sealed when, crashes while sealing, and detection of later changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import arena.loop as loop
from agents.identity import KeyRing
from arena.config.schema import load_config
from arena.loop import play
from arena.run.ledger import prove, prove_consistency, seal, verify, verify_log
from arena.run.state import Arena
from arena.run.store import Row, Store
from culture.merkle import EMPTY
from tests.helpers.crashes import Crash, die_inside_every_transaction

TINY = "configs/tiny.yaml"


@pytest.fixture
def run(undisturbed: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, to be tampered with."""
    shutil.copytree(undisturbed, tmp_path / "calm")
    return tmp_path / "calm"


@pytest.fixture
def store(run: Path) -> Store:
    return Store(run / "run.db")


def leaves(store: Store) -> list[Row]:
    return store.query("SELECT * FROM leaves ORDER BY seq")


def heads(store: Store) -> list[Row]:
    return store.query("SELECT * FROM heads ORDER BY generation")


def leaf(store: Store, kind: str, at: int) -> Row:
    return store.query("SELECT * FROM leaves WHERE kind = ? ORDER BY seq LIMIT 1 OFFSET ?", [kind, at])[0]


def unlock(store: Store) -> None:
    for trigger in ("posts_no_update", "posts_no_delete", "posts_no_replace"):
        store.db.execute(f"DROP TRIGGER IF EXISTS {trigger}")


# -- sealing ----------------------------------------------------------------------------------------------------------


def test_one_head_a_generation(store: Store):
    """It covers the posts of the generation and then its trainings."""
    assert verify(store) == []
    found = heads(store)
    assert [h["generation"] for h in found] == [0, 1, 2, 3] and found[0]["size"] == 0
    assert found[0]["root"] == EMPTY.hex() and found[-1]["size"] == len(leaves(store))
    assert len({h["public_key"] for h in found}) == 1
    posts = store.query("SELECT id, generation FROM posts ORDER BY seq")
    assert [(r["subject"], r["generation"]) for r in leaves(store) if r["kind"] == "post"] == [
        (p["id"], p["generation"]) for p in posts
    ]
    slept = store.query("SELECT generation, agent FROM sleeps ORDER BY generation, agent")
    assert [r["subject"] for r in leaves(store) if r["kind"] == "training"] == [
        f"g{s['generation']:04d}/{s['agent']}" for s in slept
    ]
    for g in (1, 2, 3):
        kinds = [r["kind"] for r in leaves(store) if r["generation"] == g]
        assert kinds == sorted(kinds) and set(kinds) == {"post", "training"}


def test_training_leaf_content(run: Path, store: Store):
    """It names the posts trained on and the digest of the resulting weights."""
    s = store.query("SELECT * FROM sleeps ORDER BY generation DESC, agent LIMIT 1")[0]
    said = json.loads(prove(store, f"g{s['generation']:04d}/{s['agent']}")["leaf"])["content"]
    where, values = "generation = ? AND agent = ? AND phase = 'sleep'", [s["generation"], s["agent"]]
    assert said["posts"] == [r["post"] for r in store.query(f"SELECT post FROM reads WHERE {where} ORDER BY 1", values)]
    assert said["posts"] and (said["examples"], said["tokens"]) == (s["examples"], s["tokens"])
    from arena.run.agents import file_digest

    file = run / "adapters" / f"g{s['generation']:04d}" / s["agent"] / "adapter_model.safetensors"
    assert said["adapter"] == file_digest(file)


def test_sealing_twice_adds_nothing(run: Path, store: Store):
    before = (leaves(store), heads(store))
    with Arena.open(run) as arena:
        play(arena)
        arena.state.generation.index = 3
        assert seal(arena) == {}
    assert (leaves(store), heads(store)) == before


@pytest.mark.slow
def test_log_is_the_same_after_crashes(undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Signatures apart, which are of random keys; so the subjects and kinds are compared, and each log verifies."""
    died = die_inside_every_transaction(monkeypatch)
    sealed = loop.seal
    late = set[int]()

    def dies_once_sealed(arena: Arena) -> object:
        rows = sealed(arena)
        arena.store.insert(rows)  # what is killed here must not be there afterwards
        if arena.state.generation.index not in late:
            late.add(arena.state.generation.index)
            raise Crash
        for table in ("leaves", "heads"):
            arena.store.db.execute(f"DELETE FROM {table} WHERE generation = ?", [arena.state.generation.index])
        return rows

    monkeypatch.setattr(loop, "seal", dies_once_sealed)
    config = load_config(TINY, [f"run.folder={tmp_path}", "run.name=calm"])
    Arena.create(config).close()
    for _ in range(200):
        try:
            with Arena.open(tmp_path / "calm") as arena:
                play(arena)
            break
        except Crash:
            continue
    assert len(died) > 20 and late == {0, 1, 2, 3}
    mine, calm = Store(tmp_path / "calm" / "run.db"), Store(undisturbed / "run.db")
    assert verify(mine) == []
    assert mine.digest() == calm.digest()
    plain = [[(r["seq"], r["generation"], r["kind"], r["subject"]) for r in leaves(s)] for s in (mine, calm)]
    assert plain[0] == plain[1]
    trained = [[r["hash"] for r in leaves(s) if r["kind"] == "training"] for s in (mine, calm)]
    assert trained[0] == trained[1]  # a training is signed by no one but the head


def test_digest_leaves_out_the_log(store: Store):
    before = store.digest()
    store.db.execute("DELETE FROM heads")
    store.db.execute("DELETE FROM leaves")
    assert store.digest() == before


@pytest.mark.slow
def test_late_receipts_and_posts_are_leaves(stopped: Path, tmp_path: Path):
    shutil.copytree(stopped, tmp_path / "gated")
    store = Store(tmp_path / "gated" / "run.db")
    ids = [r["id"] for r in store.query("SELECT id FROM waiting WHERE decided IS NULL ORDER BY rowid LIMIT 3")]
    rows = [
        {"kind": "decision", "subject": i, "value": v, "note": "", "made": ""}
        for i, v in zip(ids, ("accept", "reject", "accept"), strict=True)
    ]
    store.insert({"control": [*rows, {"kind": "resume", "subject": None, "value": None, "note": None, "made": ""}]})
    with Arena.open(tmp_path / "gated") as arena:
        play(arena)
    assert verify(store) == []
    let_in = store.query(
        "SELECT p.id, p.generation, l.generation AS logged FROM posts p JOIN leaves l ON l.subject = p.id"
    )
    assert let_in and all(r["logged"] > r["generation"] for r in let_in)
    receipts = store.query("SELECT id FROM receipts ORDER BY seq")
    assert len(receipts) == 3
    assert [r["subject"] for r in leaves(store) if r["kind"] == "receipt"] == [r["id"] for r in receipts]
    store.db.execute("UPDATE receipts SET note = 'never said' WHERE seq = 2")
    problems = verify(store)
    assert f"(receipt {receipts[1]['id'][:12]}, generation 3): what the run says" in problems[0]
    assert any("receipt 2" in p and "bad id" in p for p in problems)


def test_first_changed_post_is_named(store: Store):
    unlock(store)
    store.db.execute("UPDATE posts SET body = body || ' x' WHERE seq IN (3, 5)")
    bad = leaf(store, "post", 2)
    problems = verify(store)
    assert problems[0].startswith(
        f"leaf {bad['seq']} (post {bad['subject'][:12]}, generation {bad['generation']}): what"
    )
    assert sum(p.startswith("leaf ") for p in problems) == 1
    assert sum("bad id" in p for p in problems) == 2  # the library names both


def test_removed_posts_are_noticed(store: Store):
    unlock(store)
    last = store.query("SELECT MAX(seq) AS n FROM posts")[0]["n"]
    store.db.execute("DELETE FROM posts WHERE seq >= ?", [last - 1])
    bad = leaf(store, "post", last - 2)
    (problem,) = verify(store)  # nothing else sees it
    assert f"(post {bad['subject'][:12]}, generation {bad['generation']}): the run no longer holds this post" in problem


def test_changed_trainings_are_named(store: Store):
    """Cases: an added training, a changed adapter, changed training posts."""
    night = leaf(store, "training", 4)
    g, agent = int(night["subject"][1:5]), night["subject"][6:]
    for change, undo in (
        ("UPDATE checkpoints SET sha256 = 'x' || sha256 WHERE generation = ? AND name = ?",
         "UPDATE checkpoints SET sha256 = substr(sha256, 2) WHERE generation = ? AND name = ?"),
        ("UPDATE reads SET phase = 'slept' WHERE phase = 'sleep' AND generation = ? AND agent = ?",
         "UPDATE reads SET phase = 'sleep' WHERE phase = 'slept' AND generation = ? AND agent = ?"),
    ):  # fmt: skip
        store.db.execute(change, [g, agent])
        (problem,) = verify(store)
        assert problem.startswith(
            f"leaf {night['seq']} (training {night['subject']}, generation {g}): what the run says"
        )
        store.db.execute(undo, [g, agent])
        assert verify(store) == []
    store.db.execute("INSERT INTO sleeps VALUES (3, 'zz', 1, 1, 1, 0.5)")
    (problem,) = verify(store)
    assert problem.startswith("training g0003/zz: not in the log")


def test_rewritten_history_fails_at_its_head(store: Store):
    night = leaf(store, "training", 0)
    store.db.execute("UPDATE sleeps SET tokens = tokens + 1 WHERE generation = 1 AND agent = ?", [night["subject"][6:]])
    from arena.run.ledger import leaf_of

    again = leaf_of(store, "training", night["subject"])
    assert again
    store.db.execute("UPDATE leaves SET hash = ? WHERE seq = ?", [again.hash.hex(), night["seq"]])
    (problem,) = verify(store)
    assert problem.startswith("head of generation 1: the first") and "leaves were changed" in problem


def test_bad_head_signatures_are_named(run: Path, store: Store, tmp_path: Path):
    from arena.run.ledger import head_statement

    kept = heads(store)[2]
    store.db.execute("UPDATE heads SET signature = ? WHERE generation = 2", ["0" * 128])
    assert verify(store) == ["head of generation 2: bad signature"]
    stranger = KeyRing(tmp_path / "elsewhere")
    key = stranger.create("arena").public_key
    signature = stranger.sign("arena", head_statement(kept)).hex()
    store.db.execute("UPDATE heads SET public_key = ?, signature = ? WHERE generation = 2", [key, signature])
    assert verify(store) == ["head of generation 2: signed with another key than the first"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("DELETE FROM leaves WHERE seq = 4", "leaf 5 ("),
        ("DELETE FROM heads WHERE generation = 2", "the head that covers it is of generation 3"),
        ("DELETE FROM heads WHERE generation = 3", "no signed head covers it"),
        ("DELETE FROM heads", "no signed head, though 3 generations ended"),
        ("UPDATE heads SET size = size - 1 WHERE generation = 3", "no signed head covers it"),
        ("UPDATE heads SET size = size + 1 WHERE generation = 3", "and there are"),
        ("UPDATE leaves SET kind = 'gossip' WHERE seq = 2", "there is no such kind"),
        ("UPDATE leaves SET hash = 'not hex' WHERE seq = 2", "leaf 2 ("),
        ("UPDATE leaves SET hash = NULL WHERE seq = 2", "leaf 2 ("),
        ("UPDATE leaves SET seq = seq + 1 WHERE seq = (SELECT MAX(seq) FROM leaves)", "something is missing"),
        (
            "DELETE FROM heads WHERE generation = 3; DELETE FROM leaves WHERE generation = 3",
            "the last signed head is of",
        ),
    ],
)
def test_every_change_of_the_log_is_noticed(store: Store, change: str, says: str):
    store.db.conn.executescript(change)
    problems = verify_log(store)
    assert any(says in p for p in problems), problems


def test_swapped_leaves_are_noticed(store: Store):
    one, two = leaf(store, "post", 0), leaf(store, "post", 1)
    store.db.execute("UPDATE leaves SET subject = ?, hash = ? WHERE seq = ?", [two["subject"], two["hash"], one["seq"]])
    store.db.execute("UPDATE leaves SET subject = ?, hash = ? WHERE seq = ?", [one["subject"], one["hash"], two["seq"]])
    assert f"the post in this place is {one['subject'][:12]}" in verify_log(store)[0]


def test_damaged_rows_are_reported(store: Store):
    unlock(store)
    store.db.execute("UPDATE posts SET cites = 'no json', signature = x'ff00', body = x'00ff' WHERE seq = 1")
    store.db.execute("UPDATE sleeps SET tokens = x'00' WHERE generation = 1")
    store.db.execute("UPDATE heads SET root = NULL WHERE generation = 2")
    problems = verify(store)
    assert problems[0].startswith("leaf 1 (post ") and any(p.startswith("head of generation 2") for p in problems)


# -- proofs -----------------------------------------------------------------------------------------------------------


def test_generation_without_a_head_has_no_proof(store: Store):
    with pytest.raises(ValueError, match="generation 9 has no signed head; generations 0 to 3 have"):
        prove_consistency(store, 9)


def test_proofs_of_missing_or_changed_leaves(store: Store):
    """They are refused."""
    with pytest.raises(ValueError, match="is not in the log"):
        prove(store, "0" * 64)
    unlock(store)
    store.db.execute("UPDATE posts SET body = 'x' WHERE seq = 1")
    with pytest.raises(ValueError, match="no longer says"):
        prove(store, leaf(store, "post", 0)["subject"])


def test_resuming_seals_what_was_never_sealed(run: Path, store: Store):
    """A finished run whose leaves and heads are missing gets them all, under one head, when it is resumed."""
    before, digest = [(r["kind"], r["subject"], r["hash"]) for r in leaves(store)], store.digest()
    for table in ("leaves", "heads"):
        store.db.execute(f"DELETE FROM {table}")
    (problem,) = verify(store)
    assert problem.startswith("no signed head, though 3 generations ended")
    with Arena.open(run) as arena:
        play(arena)
    assert verify(store) == [] and store.digest() == digest
    assert [h["generation"] for h in heads(store)] == [3]
    assert sorted((r["kind"], r["subject"], r["hash"]) for r in leaves(store)) == sorted(before)
    assert [r["kind"] for r in leaves(store)] == sorted(r["kind"] for r in leaves(store))
