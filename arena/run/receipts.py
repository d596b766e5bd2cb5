"""Receipts: the signed records of what a reviewer decided, and a check of all of them.

A receipt is a row of table `receipts`, numbered from 1 without a gap and signed with the arena's key. Labels, and posts
removed by a rejection, must each have a receipt that decided so. `arena.phases.review` writes them.

Not guaranteed: that receipts missing at the end are noticed here; the log of the run notices them (`arena.run.ledger`).
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from agents.identity import is_signed
from arena.run.control import DECISIONS
from arena.run.store import Row, Store

ARENA = "arena"
"""Name of the key, in the run's key ring, that signs receipts."""
REJECTED = "rejected by the reviewer"
OUT = "rejected"
"""State, in table `removals`, of a post that a rejection removed."""
_SIGNED = ("seq", "generation", "kind", "subject", "decision", "note", "body")


def receipt_id(row: Row) -> str:
    """SHA-256, 64 hex digits, of the canonical JSON of a receipt's content."""
    return _sha(canonical({name: row[name] for name in _SIGNED}))


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def verify_receipts(store: Store) -> list[str]:
    """Check every receipt, label and rejected post. Returns one readable line a problem.

    Finds receipts that were changed, that are missing from the middle or that have another key than the first; labels
    and removals without a receipt; and rejections whose removal is missing. Receipts missing at the end are found only
    if their label or removal is still there.
    """
    problems = []
    key, expected, said = None, 1, dict[str, str]()
    out = {r["cause"]: r for r in store.query("SELECT * FROM removals WHERE state = ?", [OUT])}
    for row in store.query("SELECT * FROM receipts ORDER BY seq"):
        where = f"receipt {row['seq']} ({row['id'][:12]})"
        key = key or row["public_key"]
        if row["seq"] != expected:
            problems.append(f"{where}: expected receipt {expected} here; something is missing")
        expected = row["seq"] + 1
        if receipt_id(row) != row["id"]:
            problems.append(f"{where}: bad id: what it says hashes to {receipt_id(row)[:12]}")
        elif not is_signed(row["public_key"], bytes.fromhex(row["id"]), row["signature"]):
            problems.append(f"{where}: bad signature")
        if row["public_key"] != key:
            problems.append(f"{where}: signed with another key than the first")
        if row["decision"] in DECISIONS:
            said[row["subject"]] = row["decision"]
        if row["decision"] == "reject" and _says_removed(row["body"]):
            gone = out.pop(row["id"], None)
            if gone is None or (gone["post"], gone["generation"]) != (row["subject"], row["generation"]):
                problems.append(f"{where}: it took out post {row['subject'][:12]}, and no removal says so")
    problems += [f"removal of {r['post'][:12]} as rejected: no receipt bears it out" for r in out.values()]
    for row in store.query("SELECT attempt, says_right FROM labels ORDER BY attempt"):
        if said.get(row["attempt"]) != DECISIONS[0 if row["says_right"] else 1]:
            problems.append(f"label of {row['attempt']}: no receipt bears it out")
    return problems


def _says_removed(body: str) -> bool:
    try:
        said = json.loads(body)
    except ValueError:  # then its id is wrong too, which is reported
        return False
    return isinstance(said, dict) and said.get("removed") is True
