"""All phases, each declared once. To add one: write its module, add its row here and its name to `order.LOOP`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from arena.phases.birth import birth, fold_birth
from arena.phases.grade import fold_grade, grade
from arena.phases.measure.heldout import baseline, final, measure
from arena.phases.order import LOOP, ORDER
from arena.phases.post import fold_post, post, store_posts
from arena.phases.propose import fold_proposals, propose
from arena.phases.read import fold_rounds, read, store_decisions
from arena.phases.records import Listener, PhaseSpec
from arena.phases.sleep import sleep
from arena.phases.solve import fold_attempts, solve
from arena.phases.turnover import fold_turnover, turnover
from arena.run.store import Row

_SPECS = (
    PhaseSpec("birth", birth, ("agents",), fold=fold_birth),
    PhaseSpec("baseline", baseline, ("evaluations",), counted=False, seals=True),
    PhaseSpec(
        "read",
        read,
        ("rounds", "reads", "removals"),
        store=store_decisions,
        fold=fold_rounds,
        resume_from=("rounds", "receipts", "labels"),
        reads=("propose",),
    ),
    PhaseSpec(
        "propose",
        propose,
        ("problems", "guesses", "knowledge"),
        fold=fold_proposals,
        resume_from=("problems", "guesses"),
    ),
    PhaseSpec(
        "solve", solve, ("attempts", "reads"), fold=fold_attempts, resume_from=("attempts",), reads=("solve", "beside")
    ),
    PhaseSpec("grade", grade, ("grades", "outcomes", "rewards"), fold=fold_grade, resume_from=("grades", "outcomes")),
    PhaseSpec("post", post, ("posts", "refusals", "migrations"), store=store_posts, fold=fold_post),
    PhaseSpec("sleep", sleep, ("sleeps", "corrections", "checkpoints", "reads"), reads=("sleep",)),
    PhaseSpec("turnover", turnover, ("agents", "retirements"), fold=fold_turnover),
    PhaseSpec("measure", measure, ("evaluations", "collapse", "ratchet"), counted=False, seals=True),
    PhaseSpec("final", final, ("evaluations", "ratchet"), counted=False),
)
SPECS = {spec.name: spec for spec in _SPECS}
PHASES = tuple(SPECS[name] for name in LOOP)
"""The phases of a generation, in order."""
assert set(SPECS) == set(ORDER), "arena.phases.order and the declarations name different phases"


def replay(listen: Listener, written: Mapping[str, Sequence[Row]]) -> None:
    """Call `listen` with ("done", ...) for each phase of a generation that `arena.islands.merge` wrote."""
    seconds = {r["phase"]: r["seconds"] for r in written.get("telemetry", ())}
    for row in written.get("phases", ()):
        records: dict[str, list[Any]] = {}
        spec = SPECS[row["phase"]]
        for name in spec.tables:
            rows = list(written.get(name, ()))
            records[name] = [r for r in rows if r["phase"] in spec.reads] if name == "reads" else rows
        listen("done", {**row, "seconds": seconds.get(row["phase"], 0.0), "records": records})
