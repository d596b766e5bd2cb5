"""Rounds as JSON lines: prompts, answers, authors, posts in context, and verdicts.

`traces.jsonl` has one round per line, `completions.jsonl` one (prompt, completion) pair per line: every verified
attempt and every paid proposal. Memory holds one generation at a time.

A run does not store prompts; they are rebuilt by the functions that built them. Withheld text
(`arena.export.heldout_guard`) is null.

Left out: rounds that were planned but not played, guesses at names (table `guesses`), and posts read for fine-tuning
(table `reads`). Not guaranteed: that prompts equal those of the run if its domains have changed since.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from arena.rounds.roles import setter, solver
from arena.rounds.roles.voice import BARE, Voice
from arena.run.store import Row, Store
from curricula.domain import Domain

Tell = Callable[[int, int], None]
"""Called with the number of rows done and their total."""

# Types as a dataset card names them; a dict is a record, a list a list of what it holds. Every line has every field.
READ = {"post": "string", "kind": "string", "author": "string", "title": "string", "body": "string"}
TRACE: dict[str, Any] = {
    "round": "string",
    "generation": "int64",
    "domain": "string",
    "author": "string",
    "setter": "string",
    "solvers": ["string"],
    "proposal": {
        "prompt": "string",
        "text": "string",
        "parent": "string",
        "parent_post": "string",
        "read": [READ],
        "valid": "bool",
        "reason": "string",
        "detail": "string",
        "logprob": "float64",
        "tokens": "int64",
    },
    "problem": {
        "text": "string",
        "depth": "int64",
        "text_key": "string",
        "behaviour_key": "string",
        "features": [{"name": "string", "value": "float64"}],
    },
    "attempts": [
        {
            "id": "string",
            "agent": "string",
            "seat": "string",
            "number": "int64",
            "prompt": "string",
            "notes": ["string"],
            "read": [READ],
            "text": "string",
            "correct": "bool",
            "answer_correct": "bool",
            "reason": "string",
            "step": "int64",
            "answer": "string",
            "logprob": "float64",
            "tokens": "int64",
        }
    ],
    "grade": {
        "grader": "string",
        "attempt": "string",
        "prompt": "string",
        "text": "string",
        "answer": "string",
        "says_correct": "bool",
        "agrees": "bool",
    },
    "outcome": {"solve_rate": "float64", "learnable": "bool", "setter_reward": "float64"},
}
COMPLETION: dict[str, Any] = {
    "prompt": "string",
    "completion": "string",
    "role": "string",
    "weight": "float64",
    "round": "string",
    "attempt": "string",
    "generation": "int64",
    "agent": "string",
    "domain": "string",
    "depth": "int64",
    "solve_rate": "float64",
}
_READS = (
    "SELECT r.generation, r.request, r.post, p.kind, p.author, p.title, p.body FROM reads r LEFT JOIN posts p"
    " ON p.id = r.post WHERE r.phase IN ('propose', 'solve') ORDER BY r.rowid"
)


class Stream:
    """The rows of a table, one generation at a time. Generations must be requested in ascending order."""

    def __init__(self, store: Store, table: str, sql: str | None = None) -> None:
        cursor = store.db.conn.execute(sql or f"SELECT * FROM {table} ORDER BY rowid")
        names = [c[0] for c in cursor.description]
        rows = (dict(zip(names, row, strict=True)) for row in cursor)
        self.groups = groupby(rows, key=lambda row: int(row["generation"]))
        self.next: tuple[int, Iterator[Row]] | None = next(self.groups, None)

    def take(self, generation: int, key: str) -> dict[str, list[Row]]:
        """The rows of one generation by column `key`, in the order they were written."""
        while self.next and self.next[0] < generation:
            self.next = next(self.groups, None)
        found: dict[str, list[Row]] = {}
        if self.next and self.next[0] == generation:
            for row in self.next[1]:
                found.setdefault(row[key], []).append(row)
            self.next = next(self.groups, None)
        return found


def traces(store: Store, domains: Mapping[str, Domain], withheld: frozenset[str], voice: Voice = BARE) -> Iterator[Row]:
    """Every round that was played, in order, with the fields of `TRACE`."""
    rounds = Stream(store, "rounds")
    others = {name: Stream(store, name) for name in ("problems", "attempts", "grades", "outcomes")}
    others["reads"] = Stream(store, "reads", _READS)
    while rounds.next:
        generation = rounds.next[0]
        planned = rounds.take(generation, "id")
        by = {name: s.take(generation, "request" if name == "reads" else "round") for name, s in others.items()}
        for id_, (plan,) in planned.items():
            if id_ in by["problems"]:
                mine = {name: rows.get(id_, []) for name, rows in by.items()}
                yield _trace(plan, mine, by["reads"], domains, withheld, voice)


def _trace(
    plan: Row,
    of: dict[str, list[Row]],
    reads: dict[str, list[Row]],
    domains: Mapping[str, Domain],
    hide: frozenset[str],
    voice: Voice,
) -> Row:
    domain, id_ = domains[plan["domain"]], plan["id"]
    (set_,) = of["problems"]
    hidden, by_model = id_ in hide, plan["setter"] in ("self", "frozen")
    problem = domain.problem(set_["text"]) if set_["valid"] else None
    attempts = []
    for a in of["attempts"]:
        assert problem is not None
        notes = json.loads(a["notes"] or "[]")
        attempts.append(
            {
                **{key: a[key] for key in ("id", "agent", "seat", "number")},
                # what was not kept (arena.run.retention) cannot be put together again
                "prompt": None if a["notes"] is None else str(solver.ask(voice, domain, a["agent"], problem, notes)),
                "notes": notes,
                "read": [_read(r) for r in reads.get(f"{id_}/{a['seat']}", ())],
                "text": a["text"],
                "correct": bool(a["correct"]),
                "answer_correct": bool(a["answer_correct"]),
                **{key: a[key] for key in ("reason", "step", "answer", "logprob", "tokens")},
            }
        )
    return {
        "round": id_,
        **{key: plan[key] for key in ("generation", "domain", "author", "setter")},
        "solvers": json.loads(plan["solvers"]),
        "proposal": {
            "prompt": str(setter.ask_for_round(voice, domain, plan["author"], id_, plan["parent"]))
            if by_model
            else None,
            "text": None if hidden else set_["proposal"],
            "parent": plan["parent"],
            "parent_post": plan["parent_post"],
            "read": [_read(r) for r in reads.get(id_, ())],
            "valid": bool(set_["valid"]),
            "reason": set_["reason"],
            "detail": None if hidden else set_["detail"],
            "logprob": set_["logprob"],
            "tokens": set_["tokens"],
        },
        "problem": problem
        and {
            **{key: set_[key] for key in ("text", "depth", "text_key", "behaviour_key")},
            "features": [{"name": k, "value": v} for k, v in sorted(json.loads(set_["features"] or "{}").items())],
        },
        "attempts": attempts,
        "grade": _grade(of["grades"][0], attempts) if of["grades"] else None,
        "outcome": _outcome(of["outcomes"][0]) if of["outcomes"] else None,
    }


def _read(row: Row) -> Row:
    return {key: row[key] for key in READ}


def _grade(row: Row, attempts: list[Row]) -> Row:
    """A grade. The grader gets the prompt of the first solver (`arena.rounds.round`)."""
    return {
        **{key: row[key] for key in ("grader", "attempt")},
        "prompt": attempts[0]["prompt"],
        **{key: row[key] for key in ("text", "answer")},
        **{key: None if row[key] is None else bool(row[key]) for key in ("says_correct", "agrees")},
    }


def _outcome(row: Row) -> Row:
    return {
        "solve_rate": row["solve_rate"],
        "learnable": bool(row["learnable"]),
        "setter_reward": row["setter_reward"],
    }


def completions(trace: Row) -> Iterator[Row]:
    """The training pairs of a round, with the fields of `COMPLETION`: verified attempts, and the proposal if paid."""
    outcome = trace["outcome"] or {"solve_rate": None, "setter_reward": 0.0}
    if trace["problem"] is None:
        return
    shared = {
        "generation": trace["generation"],
        "domain": trace["domain"],
        "depth": trace["problem"]["depth"],
        "solve_rate": outcome["solve_rate"],
    }

    def pair(role: str, prompt: str, text: str, weight: float, agent: str | None, attempt: str | None) -> Row:
        who = {"round": trace["round"], "attempt": attempt, "agent": agent}
        row = {"prompt": prompt, "completion": text, "role": role, "weight": weight, **who, **shared}
        return {key: row[key] for key in COMPLETION}

    proposal = trace["proposal"]
    if proposal["prompt"] is not None and proposal["text"] is not None and outcome["setter_reward"] > 0:
        agent = trace["author"] if trace["setter"] == "self" else None
        yield pair("setter", proposal["prompt"], proposal["text"], outcome["setter_reward"], agent, None)
    for a in trace["attempts"]:
        if a["correct"] and a["text"] is not None:
            yield pair("solver", a["prompt"], a["text"], 1.0, a["agent"], a["id"])


def write_traces(
    store: Store, domains: Mapping[str, Domain], withheld: frozenset[str], folder: Path, tell: Tell, voice: Voice = BARE
) -> dict[str, int]:
    """Write both files. Returns the number of lines in each."""
    total = int(store.query("SELECT COUNT(*) AS n FROM problems")[0]["n"])
    counts = {"traces": 0, "completions": 0}
    with (
        open(folder / "traces.jsonl", "w", encoding="utf-8", newline="\n") as rounds,
        open(folder / "completions.jsonl", "w", encoding="utf-8", newline="\n") as pairs,
    ):
        for trace in traces(store, domains, withheld, voice):
            rounds.write(json.dumps(trace, allow_nan=False) + "\n")  # ASCII: no text can hold an end of line
            counts["traces"] += 1
            for pair in completions(trace):
                pairs.write(json.dumps(pair, allow_nan=False) + "\n")
                counts["completions"] += 1
            if counts["traces"] % 1000 == 0:
                tell(counts["traces"], total)
    tell(total, total)
    return counts
