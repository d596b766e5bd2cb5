"""Reviewers' decisions become receipts, labels, and admitted or refused posts.

A decision is a row of table `control` (kind "decision", subject: the id of an attempt or a post, value "accept" or
"reject"). Decisions are taken once per generation, at its beginning: `take` marks the rows with the generation, after
which they are final, and returns records for the phase `read`:

- a receipt for each, the arena's signed statement of the decision. Its id is the SHA-256 of its canonical
  JSON, its signature that of the arena's own key over the 32 bytes of the id; `verify_receipts` checks all of them. A
  decision that cannot be taken (no such subject, decided before) gets a receipt with decision "void" and the reason.
- a label for each attempt, which answers the grader's question: is the answer right? Labels pay graders in the
  generation in which they are taken, and measure their calibration (`arena.report.metrics.grader_calibration`).
- for a post that waits (`review: gate`): its row of `waiting` is closed; an accepted post is added in the phase `post`
  of the same generation, a rejected one becomes a row of `refusals`.
- for a rejected post that is in the library: it leaves the index with a row of `removals` (state "rejected", cause: the
  receipt's id, reason: the note), and from this phase on it is not read and not trained on. The log keeps it. A post
  that had left the index before gets the receipt alone.

Left out: the reviewer's identity (anyone who can write run.db can write decisions); taking back a rejection (the author
may post the text again); and undoing earlier uses of a rejected post: books that compiled it, problems varied from it,
and weights trained on it stay. Not guaranteed: that a reviewer is right; disagreement with execution raises an alarm,
and execution keeps paying solvers and setters.
"""

from __future__ import annotations

from collections.abc import Sequence

from arena.run.control import DECISIONS, MAX_NOTE
from arena.run.receipts import ARENA, OUT, REJECTED, _sha, canonical, receipt_id
from arena.run.state import Arena
from arena.run.store import Row, Store
from culture.posts import SignedPost


def take(arena: Arena) -> dict[str, list[Row]]:
    """Records of the decisions since the last generation; empty if `review.mode` is off.

    Marks the decisions as taken, which is idempotent: after a crash the same records come out.
    """
    if arena.config.review.mode == "off":
        return {}
    g, store = arena.state.generation.index, arena.store
    if store.query("SELECT 1 FROM control WHERE kind = 'decision' AND taken IS NULL LIMIT 1"):
        with store.transaction():
            store.db.execute("UPDATE control SET taken = ? WHERE kind = 'decision' AND taken IS NULL", [g])
    asked = store.query("SELECT * FROM control WHERE kind = 'decision' AND taken = ? ORDER BY seq", [g])
    receipts: list[Row] = []
    labels: list[Row] = []
    refusals: list[Row] = []
    removals: list[Row] = []
    for row in asked:
        subject, decision = str(row["subject"] or ""), str(row["value"] or "")
        note = str(row["note"] or "")[:MAX_NOTE]
        facts, label, waits = _facts(store, subject)
        if any(r["subject"] == subject and r["decision"] != "void" for r in receipts) or _decided(store, subject):
            facts = {"void": "it was decided before"}
        elif decision not in DECISIONS:
            facts = {"void": f"a decision is accept or reject, not {decision[:40]!r}"}
        if "void" in facts:
            decision = "void"
        leaves = facts.get("what") == "post" and decision == "reject" and not _left(store, subject)
        if leaves:
            facts["removed"] = True
        receipts.append(_receipt(arena, len(receipts), subject, decision, note, facts))
        if decision == "void":
            continue
        right = decision == "accept"
        if label is not None:
            says = label.pop("grader_says")
            agrees = None if says is None else int(bool(says) == right)
            labels.append({**label, "generation": g, "says_right": int(right), "grader_agrees": agrees})
        elif leaves:
            cause = receipts[-1]["id"]
            removals.append({"post": subject, "generation": g, "state": OUT, "cause": cause, "reason": note})
        elif waits is not None and not right:
            refusals.append(
                {
                    "post": subject,
                    "generation": g,
                    "author": waits["author"],
                    "title": waits["title"],
                    "reason": REJECTED,
                    "note": note,
                }
            )
    return {"receipts": receipts, "labels": labels, "refusals": refusals, "removals": removals}


def close_waiting(store: Store, receipts: Sequence[Row]) -> None:
    """Close the rows of decided posts. Called inside the transaction that stores the receipts."""
    store.db.conn.executemany(
        "UPDATE waiting SET decided = ? WHERE id = ?",
        [(r["generation"], r["subject"]) for r in receipts if r["decision"] != "void"],
    )


def approved(store: Store, receipts: Sequence[Row]) -> list[SignedPost]:
    """The waiting posts that the generation's `receipts` accept, in the order of the decisions."""
    found = []
    for receipt in receipts:
        if receipt["decision"] == "accept":
            for row in store.query("SELECT * FROM waiting WHERE id = ?", [receipt["subject"]]):
                found.append(SignedPost.from_row(row))
    return found


def waiting_names(store: Store) -> set[str]:
    """Names whose definition waits for approval; they are not defined again."""
    sql = "SELECT title FROM waiting WHERE kind = 'definition' AND decided IS NULL"
    return {r["title"] for r in store.query(sql)}


# -- receipts ------------------------------------------------------------------------------------------------------


def _facts(store: Store, subject: str) -> tuple[Row, Row | None, Row | None]:
    """(facts for the receipt, label of an attempt or None, waiting post or None)."""
    found = store.query("SELECT * FROM attempts WHERE id = ?", [subject])
    if found:
        a = found[0]
        # a round has one grade, under an id that begins with the round's
        graded = store.query("SELECT * FROM grades WHERE id = ? AND attempt = ?", [f"{a['round']}/grader", subject])
        grader, says = (graded[0]["grader"], graded[0]["says_correct"]) if graded else (None, None)
        facts = {
            "what": "attempt",
            "agent": a["agent"],
            "text_sha256": None
            if a["text"] is None
            else _sha(a["text"]),  # the text may have been removed (arena.run.retention)
            "answer": a["answer"],
            "execution_correct": a["answer_correct"],
            "grader": grader,
            "grader_says": says,
        }
        label = {"attempt": subject, "grader": grader, "grader_says": says, "execution_correct": a["answer_correct"]}
        return facts, label, None
    for table in ("waiting", "posts"):
        found = store.query(f"SELECT * FROM {table} WHERE id = ?", [subject])
        if found:
            p = found[0]
            facts = {
                "what": f"{'waiting ' if table == 'waiting' else ''}post",
                "author": p["author"],
                "kind": p["kind"],
            }
            return facts, None, p if table == "waiting" else None
    return {"void": "there is no attempt and no post of this id"}, None, None


def _decided(store: Store, subject: str) -> bool:
    return bool(store.query("SELECT 1 FROM receipts WHERE subject = ? AND decision != 'void' LIMIT 1", [subject]))


def _left(store: Store, post: str) -> bool:
    return bool(store.query("SELECT 1 FROM removals WHERE post = ?", [post]))


def _receipt(arena: Arena, ahead: int, subject: str, decision: str, note: str, facts: Row) -> Row:
    """A signed row of table `receipts`. `seq` numbers the receipts of the run from 1."""
    last = arena.store.query("SELECT MAX(seq) AS n FROM receipts")[0]["n"] or 0
    row = {
        "seq": last + ahead + 1,
        "generation": arena.state.generation.index,
        "kind": "review",
        "subject": subject,
        "decision": decision,
        "note": note,
        "body": canonical(facts),
    }
    id_ = receipt_id(row)
    key = arena.keys.ensure(ARENA).public_key
    return {"id": id_, **row, "public_key": key, "signature": arena.keys.sign(ARENA, bytes.fromhex(id_)).hex()}
