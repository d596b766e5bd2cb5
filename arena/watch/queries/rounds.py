"""Queries for the Rounds screen: the problems of a generation, and one round with its attempts and grades."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from arena.report.metrics.paired_uplift import Offspring
from arena.run.retention import GONE
from arena.watch.models import Attempt, Grade, PaidProblem, PostOffspring, RoundDetail, RoundRow
from arena.watch.queries.base import dicts
from arena.watch.queries.posts import post_rows

FILTERS = ("all", "valid", "learnable", "disputed")
_ROUND = (
    "SELECT p.round, COALESCE(r.number, 0) AS number, p.domain, p.author, COALESCE(p.text, p.proposal,"
    f" '{GONE}') AS text, p.valid, p.reason, p.depth, o.solve_rate, COALESCE(o.learnable, 0) AS learnable, o.doubt,"
    " o.setter_reward AS paid,"
    # a grade's id begins with its round's
    " EXISTS (SELECT 1 FROM grades g WHERE g.id >= p.round || '/' AND g.id < p.round || '0' AND g.agrees = 0)"
    " AS disagreement, p.generation, p.proposal, p.detail, r.setter, r.solvers, r.parent, r.parent_post"
    " FROM problems p LEFT JOIN outcomes o ON o.round = p.round LEFT JOIN rounds r ON r.id = p.round"
)

_PAID = (
    f"SELECT o.setter_reward, p.generation, p.round, p.author, COALESCE(p.text, p.proposal, '{GONE}'), p.reason,"
    " o.solve_rate, o.learnable FROM problems p JOIN outcomes o ON o.round = p.round"
)


def rounds(db: sqlite3.Connection, generation: int, shown: str = "all") -> list[RoundRow]:
    """The problems of one generation that pass the filter `shown`, in the order in which they were set.

    Raises:
        ValueError: if `shown` is not one of FILTERS.
    """
    if shown not in FILTERS:
        raise ValueError(f"unknown filter {shown!r}; use one of {', '.join(FILTERS)}")
    test = {"all": "", "valid": " AND p.valid", "learnable": " AND o.learnable", "disputed": " AND disagreement"}[shown]
    return [_round(r) for r in dicts(db, f"{_ROUND} WHERE p.generation = ?{test} ORDER BY p.rowid", [generation])]


def _round(r: dict[str, Any]) -> RoundRow:
    return RoundRow(
        r["round"],
        r["number"],
        r["domain"],
        r["author"],
        r["text"],
        bool(r["valid"]),
        r["reason"],
        r["depth"],
        r["solve_rate"],
        bool(r["learnable"]),
        r["paid"],
        bool(r["disagreement"]),
        r["doubt"] or "",
    )


def round_detail(db: sqlite3.Connection, round_: str) -> RoundDetail | None:
    """One round with its attempts and grades, or None if it has no proposal yet."""
    found = dicts(db, f"{_ROUND} WHERE p.round = ?", [round_])
    if not found:
        return None
    grades = {
        g["attempt"]: Grade(g["grader"], _kept(g["text"]), g["answer"], _maybe(g["says_correct"]), _maybe(g["agrees"]))
        for g in dicts(db, "SELECT * FROM grades WHERE id >= ? AND id < ?", [f"{round_}/", f"{round_}0"])
    }
    attempts = [
        Attempt(
            a["agent"],
            a["seat"],
            _kept(a["text"]),
            bool(a["correct"]),
            bool(a["answer_correct"]),
            a["reason"],
            a["step"],
            a["answer"],
            tuple(json.loads(a["notes"] or "[]")),
            grades.get(a["id"]),
            tuple(json.loads(a["estimates"] or "[]")),
            bool(a["stopped"]),
        )
        for a in dicts(db, "SELECT * FROM attempts WHERE round = ? ORDER BY rowid", [round_])
    ]
    r = found[0]
    return RoundDetail(
        _round(r),
        r["generation"],
        _kept(r["proposal"]),
        r["detail"] or "",
        r["setter"] or "",
        tuple(json.loads(r["solvers"] or "[]")),
        r["parent"],
        post_rows(db, [r["parent_post"]]).get(r["parent_post"]),
        tuple(attempts),
    )


def _kept(text: str | None) -> str:
    return GONE if text is None else text


def _maybe(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def paid_problems(db: sqlite3.Connection, generation: int) -> list[PaidProblem]:
    """The problems of one generation that have been paid for, in the order in which they were set."""
    sql = f"{_PAID} WHERE p.generation = ? ORDER BY p.rowid"
    return [PaidProblem(*row) for row in db.execute(sql, [generation])]


def extreme_problems(db: sqlite3.Connection, author: str, most: int, order: str) -> list[PaidProblem]:
    """At most `most` problems of one author, the best paid first (`order` "DESC") or the worst paid ("ASC"); of equal
    ones the newest first."""
    assert order in ("ASC", "DESC"), order
    sql = f"{_PAID} WHERE p.author = ? ORDER BY o.setter_reward {order}, p.generation DESC, p.rowid LIMIT ?"
    return [PaidProblem(*row) for row in db.execute(sql, [author, most])]


def offspring(db: sqlite3.Connection, generation: int) -> list[PostOffspring]:
    """The problems of one generation that were varied from a post, counted by post."""
    sql = (
        "SELECT l.seq, l.author, COUNT(*), SUM(p.valid), SUM(COALESCE(o.learnable, 0)) FROM problems p"
        " CROSS JOIN rounds r ON r.id = p.round JOIN posts l ON l.id = r.parent_post"
        " LEFT JOIN outcomes o ON o.round = p.round WHERE p.generation = ? GROUP BY l.seq"
    )
    return [PostOffspring(seq, author, Offspring(*counts)) for seq, author, *counts in db.execute(sql, [generation])]
