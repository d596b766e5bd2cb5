"""Recorded traffic between a run and a server: two generations of scripted agents, every request with its reply.

`scripted.jsonl` has one line per request: the seed, the digest of the request, the reply; and, for the first request of
each role and domain, its messages for readers. After an intended change of the prompts, record it again with

    python -m tests.helpers.traffic
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "scripted.jsonl"
OUTCOMES = Path(__file__).parent / "outcomes.json"


def asked(body: dict[str, Any]) -> str:
    """First 16 hex digits of the SHA-256 of a request without the name of the model."""
    text = json.dumps({k: v for k, v in body.items() if k != "model"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def recorded() -> Iterator[dict[str, Any]]:
    for line in FILE.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def outcomes(query: Any) -> dict[str, list[list[Any]]]:
    """The results of a run: of each proposal, attempt, guess and grade, and the posts."""
    asked = {
        "problems": "SELECT round, valid, reason, depth FROM problems ORDER BY round",
        "attempts": "SELECT id, correct, answer_correct, reason, answer FROM attempts ORDER BY id",
        "guesses": "SELECT id, correct, reason FROM guesses ORDER BY id",
        "grades": "SELECT id, says_correct, agrees FROM grades ORDER BY id",
        "outcomes": "SELECT round, solve_rate, learnable, doubt FROM outcomes ORDER BY round",
        "posts": "SELECT generation, kind, author, title FROM posts ORDER BY seq",
        "refusals": "SELECT generation, author, reason FROM refusals ORDER BY generation, author, post",
        "evaluations": "SELECT id, correct FROM evaluations ORDER BY id",
    }
    return {table: [list(row.values()) for row in query(sql)] for table, sql in asked.items()}
