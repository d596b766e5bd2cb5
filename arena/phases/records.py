"""A generation that was written at once, told to a listener as if its phases had come one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from arena.loop import Listener
from arena.run.store import Row

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
