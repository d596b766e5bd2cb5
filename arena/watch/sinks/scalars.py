"""The figures of a finished phase by name, for sinks.

Figures of a generation or of the whole run come from the store, so that a resumed run sends the same as an undisturbed
one; a few figures of the phase come from its records. Every name is sent at most once per generation.

baseline, measure   heldout/DOMAIN/depth_N and /mean_3_6: share of held-out problems solved, greedy;
                    heldout/DOMAIN/without_reading/...: the same, without what the library holds on names
baseline, final     heldout_full/DOMAIN/... and pass_at_K/DOMAIN/...: the full held-out sets, before and after
propose             setting/proposed, /valid, /depth (mean of valid problems); guessing/made, /right
solve               reading/reads: posts put into the contexts of setters and solvers
grade               setting/learnable, solving/solve_rate, grading/agreement, reward/ROLE: counts, and means over rounds
post                library/posts, library/KIND: what the library holds now; library/refused: posts it refused
sleep               sleep/loss (mean over examples), sleep/tokens (trained on), sleep/examples
birth, turnover     population/agents: the living
measure             speed/seconds, speed/tokens_per_second of the generation; since the run began compute/units, and,
                    evaluation included, spent/requests and spent/tokens (prompt and generated)

Left out: figures of single agents. Not guaranteed: precision of figures over few problems; a generation measures
`measure.per_depth` held-out problems per agent and depth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from arena.report.metrics import generation
from arena.report.metrics.heldout import middle_mean, solved
from arena.run.budget import spent_so_far
from arena.run.store import Row, Store

Scalars = dict[str, float]
TEXT_OF = "example"
"""The name of the text that shows one worked example a generation."""


def scalars(store: Store, done: Mapping[str, Any]) -> Scalars:
    """The figures of one finished phase, given as `arena.loop.play` reports it ("done"). Undefined ones are left out.

    `store` holds the phase already.
    """
    phase, g, records = done["phase"], done["generation"], done["records"]
    found: dict[str, float | None] = {}
    if "evaluations" in records and not (phase == "final" and g == 0):  # the same agents, measured again
        found |= _heldout(store, phase, g, records["evaluations"])
    if phase == "propose":
        found |= _proposed(store, g)
    elif phase == "solve":
        found["reading/reads"] = generation.reads(store, g).get(g, 0)
    elif phase == "grade":
        found |= _graded(store, g, records.get("rewards", ()))
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
        found |= _speed(store, g)
    if phase in ("birth", "turnover"):
        living = store.query("SELECT (SELECT COUNT(*) FROM agents) - (SELECT COUNT(*) FROM retirements) AS n")
        found["population/agents"] = living[0]["n"]
    return {name: float(v) for name, v in found.items() if v is not None and math.isfinite(v)}


def texts(done: Mapping[str, Any]) -> dict[str, str]:
    """One worked example of a generation, the longest problem that was posted."""
    posts = [p for p in done["records"].get("posts", ()) if p["kind"] == "worked_example"]
    if not posts:
        return {}
    best = max(posts, key=lambda p: (len(p["title"]), p["id"]))
    return {TEXT_OF: f"{best['title']}\nby {best['author']}\n\n{best['body']}"}


def _heldout(store: Store, phase: str, g: int, rows: Sequence[Row]) -> Scalars:
    """Shares by domain and depth. The measurement before the first generation is the first point of the curve over
    generations; the one after the last has names of its own, since its generation is measured twice."""
    found: Scalars = {}
    for domain, mode, reading in sorted({(r["domain"], r["mode"], r["reading"] != 0) for r in rows}):
        measured = solved(store, domain, mode, g, reading).get(g, {})
        names = {"baseline": ["heldout", "heldout_full"], "final": ["heldout_full"]}.get(phase, ["heldout"])
        if mode == "pass":
            names = sorted({f"pass_at_{x.k}" for x in measured.values()})
        rates = {depth: x.rate for depth, x in measured.items()}
        mean = middle_mean(rates)
        for name in names:
            place = f"{name}/{domain}" + ("" if reading else "/without_reading")
            found |= {f"{place}/depth_{depth}": rate for depth, rate in rates.items()}
            found |= {} if mean is None else {f"{place}/mean_3_6": mean}
    return found


def _proposed(store: Store, g: int) -> dict[str, float | None]:
    set_ = generation.proposals(store, g).get(g, generation.Proposals())
    guesses = generation.guesses(store, g).get(g)
    found = {"setting/proposed": set_.proposed, "setting/valid": set_.valid, "setting/depth": set_.depth}
    return found | ({"guessing/made": guesses.made, "guessing/right": guesses.right} if guesses else {})


def _graded(store: Store, g: int, paid: Sequence[Row]) -> dict[str, float | None]:
    outcomes = generation.outcomes(store, g).get(g, generation.Outcomes())
    found: dict[str, float | None] = {
        "setting/learnable": outcomes.learnable,
        "solving/solve_rate": outcomes.solve_rate,
        "grading/agreement": generation.agreement(store, g).get(g),
    }
    for role in sorted({r["role"] for r in paid}):
        found[f"reward/{role}"] = _weighted((r["reward"], r["n"]) for r in paid if r["role"] == role)
    return found


def _speed(store: Store, g: int) -> dict[str, float | None]:
    spent = spent_so_far(store)
    seconds = generation.seconds(store, g).get(g, 0.0)
    tokens = generation.tokens(store, g).get(g, generation.Tokens()).total
    return {
        "speed/seconds": seconds,
        "speed/tokens_per_second": tokens / seconds if seconds else None,
        "compute/units": store.compute(),
        "spent/requests": spent.requests,
        "spent/tokens": spent.tokens,
    }


def _weighted(pairs: Iterable[tuple[float, float]]) -> float | None:
    """Mean of (value, weight)."""
    known = list(pairs)
    total = sum(w for _, w in known)
    return sum(v * w for v, w in known) / total if total else None
