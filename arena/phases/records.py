"""A generation that was written at once, told to a listener as if its phases had come one after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from agents.engine import Request
from arena.library.admission import admit
from arena.phases.migration import take_in
from arena.phases.review import close_waiting
from arena.rounds.round import Ask
from arena.run.messages import SentPost
from arena.run.state import Arena
from arena.run.store import Row
from culture.library import Read
from culture.posts import SignedPost

Listener = Callable[[str, dict[str, Any]], None]


Produced = dict[str, list[Any]]


TABLES = {
    "birth": ("agents",),
    "baseline": ("evaluations",),
    "read": ("rounds", "reads", "removals"),
    "propose": ("problems", "guesses", "knowledge"),
    "solve": ("attempts", "reads"),
    "grade": ("grades", "outcomes", "rewards"),
    "post": ("posts", "refusals", "migrations"),
    "sleep": ("sleeps", "checkpoints", "reads"),
    "turnover": ("agents", "retirements"),
    "measure": ("evaluations", "collapse", "ratchet"),
    "final": ("evaluations", "ratchet"),
}
"""The tables whose rows a phase tells of."""
READS = {"read": ("propose",), "solve": ("solve", "beside"), "sleep": ("sleep",)}


def tell_phases(listen: Listener, written: Mapping[str, Sequence[Row]]) -> None:
    """("done", ...) for each phase of what `arena.islands.merge.Union.write` gave."""
    seconds = {r["phase"]: r["seconds"] for r in written.get("telemetry", ())}
    for row in written.get("phases", ()):
        records: dict[str, list[Any]] = {}
        for name in TABLES.get(row["phase"], ()):
            rows = list(written.get(name, ()))
            records[name] = [r for r in rows if r["phase"] in READS[row["phase"]]] if name == "reads" else rows
        listen("done", {**row, "seconds": seconds.get(row["phase"], 0.0), "records": records})


def request(arena: Arena, round_: str, ask: Ask, temperature: float, adapter: str | None) -> Request:
    key = f"{arena.seed}/{round_}/{ask.phase}/{ask.seat}/{ask.number}"
    c = arena.config.rounds
    return Request(key, ask.prompt, adapter, c.max_tokens, temperature, c.top_p)


def silent(event: str, data: dict[str, Any]) -> None:
    """A listener that listens to nothing."""


def store_records(arena: Arena, produced: Produced) -> dict[str, list[Any]]:
    """Insert a phase's records; posts pass the admission check, and what comes back is what was stored.

    What is to wait for approval passes the same check before a reviewer is asked.
    """
    records = dict(produced)
    signed: list[SignedPost] = records.pop("posts", [])
    reads: list[Read] = records.pop("reads", [])
    wait: list[SignedPost] = records.pop("waiting", [])
    withheld: list[Read] = records.pop("withheld", [])
    arriving: list[SentPost] = records.pop("arriving", [])
    quota = arena.config.library.quota
    results = arena.library.add(signed, lambda p: admit(arena, p), quota=quota) if signed else []
    reasons = dict(results) | {s.post.id: arena.library.refusal(s, lambda p: admit(arena, p)) for s in wait}
    refused = [_refusal(s, reasons[s.post.id]) for s in [*signed, *wait] if reasons[s.post.id] is not None]
    if refused:
        records["refusals"] = [*records.get("refusals", []), *refused]
    posts = [{**asdict(s.post), "id": s.post.id} for s in signed if reasons[s.post.id] is None]
    if arriving:
        taken, records["migrations"] = take_in(arena, arriving, lambda p: admit(arena, p))
        posts += [{**asdict(s.post), "id": s.post.id} for s in taken]
    if "waiting" in produced:
        records["waiting"] = [{**s.to_row(), "decided": None} for s in wait if reasons[s.post.id] is None]
    if "receipts" in records:
        close_waiting(arena.store, records["receipts"])
    arena.library.log_reads(reads)
    arena.library.log_withheld(withheld)
    arena.store.insert(records)
    return {**records, "reads": reads} | ({"posts": posts} if "posts" in produced else {})


def _refusal(item: SignedPost, reason: str | None) -> Row:
    p = item.post
    return {"post": p.id, "generation": p.generation, "author": p.author, "title": p.title, "reason": reason}
