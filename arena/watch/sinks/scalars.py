"""A finished phase as figures by name, for sinks: what is worth a curve while a run is played.

Figures of the phase come from its records, figures of a generation or of the whole run from the store, so that a
resumed run tells the same as an undisturbed one. Every name is told at most once a generation.

baseline, measure   heldout/DOMAIN/depth_N and /mean_3_6: share of held-out problems solved, greedy;
                    heldout/DOMAIN/without_reading/...: the same, without what the library holds on names
baseline, final     heldout_full/DOMAIN/... and pass_at_K/DOMAIN/...: the full held-out sets, before and after
propose             setting/proposed, /valid, /depth (mean of valid problems); guessing/made, /right
solve               reading/reads: posts put into the contexts of setters and solvers
grade               setting/learnable, solving/solve_rate, grading/agreement, reward/ROLE: counts, and means over rounds
post                library/posts, library/KIND: what the library holds now; library/refused: what it did not let in
sleep               sleep/loss (mean over examples), sleep/tokens (trained on), sleep/examples
birth, turnover     population/agents: the living
measure             speed/seconds, speed/tokens_per_second of the generation; since the run began compute/units, and,
                    evaluation too, spent/requests and spent/tokens (prompt and generated)

Left out: figures of single agents. Not guaranteed: that a figure of a few problems says much; held-out problems of a
generation are `measure.per_depth` an agent and depth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from arena.report.metrics.heldout import MIDDLE_DEPTHS
from arena.report.stats.intervals import pass_at_k
from arena.run.budget import spent_so_far
from arena.run.store import Row, Store

Scalars = dict[str, float]
TEXT_OF = "example"
"""The name of the text that shows one worked example a generation."""


def scalars(store: Store, done: Mapping[str, Any]) -> Scalars:
    """The figures of one finished phase, as `arena.loop.play` tells of it ("done"), without those over nothing."""
    phase, generation, records = done["phase"], done["generation"], done["records"]
    found: dict[str, float | None] = {}
    if "evaluations" in records and not (phase == "final" and generation == 0):  # the same agents, measured again
        found |= _heldout(phase, records["evaluations"])
    if phase == "propose":
        found |= _proposed(records)
    elif phase == "solve":
        found["reading/reads"] = _count(
            store, "SELECT COUNT(*) AS n FROM reads WHERE generation = ? AND phase != 'sleep'", generation
        )
    elif phase == "grade":
        found |= _graded(records)
    elif phase == "post":
        kinds = store.query("SELECT kind, COUNT(*) AS n FROM posts GROUP BY kind ORDER BY kind")
        found |= {f"library/{r['kind']}": r["n"] for r in kinds}
        found["library/posts"] = sum(r["n"] for r in kinds)
        found["library/refused"] = len(records.get("refusals", ()))
    elif phase == "sleep":
        sleeps = records["sleeps"]
        found["sleep/loss"] = _weighted((s["loss"], s["examples"]) for s in sleeps if s["loss"] is not None)
        if sleeps:
            found |= {f"sleep/{key}": sum(s[key] for s in sleeps) for key in ("tokens", "examples")}
    elif phase == "measure":
        found |= _speed(store, generation)
    if phase in ("birth", "turnover"):
        found["population/agents"] = _count(
            store, "SELECT (SELECT COUNT(*) FROM agents) - (SELECT COUNT(*) FROM retirements) AS n"
        )
    return {name: float(v) for name, v in found.items() if v is not None and math.isfinite(v)}


def texts(done: Mapping[str, Any]) -> dict[str, str]:
    """One worked example of a generation, the longest problem that was posted."""
    posts = [p for p in done["records"].get("posts", ()) if p["kind"] == "worked_example"]
    if not posts:
        return {}
    best = max(posts, key=lambda p: (len(p["title"]), p["id"]))
    return {TEXT_OF: f"{best['title']}\nby {best['author']}\n\n{best['body']}"}


def _heldout(phase: str, rows: Sequence[Row]) -> Scalars:
    """Shares by domain and depth. The measurement before the first generation begins the curve of each generation's,
    and the one after the last, of the same generation as that one's, has names of its own."""
    found: Scalars = {}
    rates: dict[tuple[str, str], dict[int, list[float]]] = {}
    for row in rows:
        place = row["domain"] + ("/without_reading" if row["reading"] == 0 else "")
        if row["mode"] == "pass":
            names, rate = [f"pass_at_{row['k']}"], pass_at_k(row["k"], row["correct"], row["k"])
        else:
            names = {"baseline": ["heldout", "heldout_full"], "final": ["heldout_full"]}.get(phase, ["heldout"])
            rate = row["correct"]
        for name in names:
            rates.setdefault((name, place), {}).setdefault(row["depth"], []).append(rate)
    for (name, place), by_depth in rates.items():
        means = {depth: sum(x) / len(x) for depth, x in sorted(by_depth.items())}
        found |= {f"{name}/{place}/depth_{depth}": mean for depth, mean in means.items()}
        if all(d in means for d in MIDDLE_DEPTHS):
            found[f"{name}/{place}/mean_3_6"] = sum(means[d] for d in MIDDLE_DEPTHS) / len(MIDDLE_DEPTHS)
    return found


def _proposed(records: Mapping[str, Sequence[Row]]) -> dict[str, float | None]:
    depths = [p["depth"] for p in records["problems"] if p["valid"]]
    guesses = records.get("guesses", ())
    found: dict[str, float | None] = {
        "setting/proposed": len(records["problems"]),
        "setting/valid": len(depths),
        "setting/depth": _mean(depths),
    }
    if guesses:
        found |= {"guessing/made": len(guesses), "guessing/right": sum(g["correct"] for g in guesses)}
    return found


def _graded(records: Mapping[str, Sequence[Row]]) -> dict[str, float | None]:
    outcomes, paid = records["outcomes"], records.get("rewards", ())
    found: dict[str, float | None] = {
        "setting/learnable": sum(o["learnable"] for o in outcomes),
        "solving/solve_rate": _mean([o["solve_rate"] for o in outcomes if o["solve_rate"] is not None]),
        "grading/agreement": _mean([g["agrees"] for g in records.get("grades", ()) if g["agrees"] is not None]),
    }
    for role in sorted({r["role"] for r in paid}):
        found[f"reward/{role}"] = _weighted((r["reward"], r["n"]) for r in paid if r["role"] == role)
    return found


def _speed(store: Store, generation: int) -> dict[str, float | None]:
    spent = spent_so_far(store)
    seconds = _count(
        store, "SELECT TOTAL(seconds) AS n FROM telemetry WHERE generation = ? AND phase != 'final'", generation
    )
    tokens = _count(
        store,
        "SELECT TOTAL(prompt_tokens + generated_tokens + trained_tokens) AS n FROM phases WHERE generation = ?"
        " AND phase != 'final'",
        generation,
    )
    return {
        "speed/seconds": seconds,
        "speed/tokens_per_second": tokens / seconds if seconds else None,
        "compute/units": store.compute(),
        "spent/requests": spent.requests,
        "spent/tokens": spent.tokens,
    }


def _count(store: Store, sql: str, *parameters: int) -> float:
    return float(store.query(sql, list(parameters))[0]["n"])


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _weighted(pairs: Iterable[tuple[float, float]]) -> float | None:
    """Mean of (value, weight)."""
    known = list(pairs)
    total = sum(w for _, w in known)
    return sum(v * w for v, w in known) / total if total else None
