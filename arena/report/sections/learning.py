"""Learning: how good the agents' estimates of their own attempts are, what they saved, and what corrections brought."""

from __future__ import annotations

from collections.abc import Sequence

from arena.report.figures.figure import Figure, Panel, Section, Series
from arena.report.metrics.learning import (
    Judged,
    calibration,
    calibration_error,
    corrections,
    discrimination,
    forecast_rank,
    judged,
    savings,
)
from arena.report.source import Source
from arena.report.stats.intervals import rate, wilson_interval
from arena.text import count, number

KEY, TITLE = "learning", "Learning: the value function and corrections"
MOMENTS = (("before the first token", 0), ("after the last step", -1))


def section(source: Source) -> Section:
    attempts, (rewritten, right) = judged(source.store), corrections(source.store)
    findings, figures, missing = list[str](), list[Figure](), list[str]()
    if attempts:
        findings += estimates(attempts)
        findings += ended(attempts, source.config.sleep.value.stop_below)
        figures += [calibration_figure(attempts), rank_figure(attempts)]
    else:
        missing.append("There are no estimates of attempts: sleep.value.examples is 0, or nothing was fitted yet.")
    if rewritten:
        findings.append(
            f"Agents rewrote {count(rewritten, 'failed attempt')} from the step that was called wrong; "
            f"{rate(right, rewritten)} of them were right then and were trained on."
        )
    return Section(KEY, TITLE, tuple(findings), tuple(figures), (), tuple(missing))


def estimates(attempts: Sequence[Judged]) -> list[str]:
    """Calibration and discrimination of the value function on attempts it was not fitted to."""
    found = []
    for moment, at in MOMENTS:
        error, apart = calibration_error(attempts, at), discrimination(attempts, at)
        if error is not None and apart is not None:
            found.append(
                f"Estimates {moment} are off by {number(error)} on average (expected calibration error); of a right "
                f"and a wrong attempt, the right one has the higher estimate in {number(apart)} of all pairs."
            )
    rank = forecast_rank(attempts)
    if rank is not None:
        found.append(
            "The rank correlation of a new problem's mean estimate, before any attempt, with its solve rate is "
            f"{number(rank)}."
        )
    return found


def ended(attempts: Sequence[Judged], limit: float) -> list[str]:
    """What ending hopeless attempts saved and cost."""
    found = savings(attempts, limit)
    if found is None:
        return []
    return [
        f"{found.ended} of {count(found.attempts, 'attempt')} were ended because their estimate fell below {limit:g}, "
        f"which saved about {number(found.share)} of the tokens of all attempts. Of {found.spared} with as low an "
        f"estimate that were spared at random, {rate(found.spared_right, found.spared)} were right."
    ]


def calibration_figure(attempts: Sequence[Judged]) -> Figure:
    series, rows = [Series("perfect", (0.0, 1.0), (0.0, 1.0), colour="#555555", dash=True)], []
    for moment, at in MOMENTS:
        bins = calibration(attempts, at)
        ends = [wilson_interval(b.right, b.n) for b in bins]
        x, y = tuple(b.mean for b in bins), tuple(b.right / b.n for b in bins)
        low, high = tuple(e[0] for e in ends), tuple(e[1] for e in ends)
        series.append(Series(moment, x, y, low, high, "points", text=tuple(f"n = {b.n}" for b in bins)))
        rows += [{"moment": moment, "estimate": b.mean, "n": b.n, "right": b.right} for b in bins]
    return Figure(
        "value",
        "Estimates of success against outcomes",
        "Share of right attempts by estimate, in tenths, with 95 % Wilson intervals; attempts that an estimate ended "
        "are left out. The value function was fitted to earlier generations.",
        (Panel(tuple(series), "estimated chance to be right", "share right", (0.0, 1.0)),),
        tuple(rows),
    )


def rank_figure(attempts: Sequence[Judged]) -> Figure:
    rows = []
    for g in sorted({a.generation for a in attempts}):
        own = [a for a in attempts if a.generation == g]
        rows.append({"generation": g, "rank": forecast_rank(own), "apart": discrimination(own, -1)})
    x = tuple(r["generation"] for r in rows)
    series = (
        Series("rank correlation", x, tuple(r["rank"] for r in rows)),
        Series("area under the curve", x, tuple(r["apart"] for r in rows)),
    )
    return Figure(
        "forecast",
        "Forecasts of new problems",
        "By generation, on problems that nobody had seen: Spearman's rank correlation of a problem's mean estimate and "
        "its solve rate, and the area under the ROC curve of last estimates (0.5 is chance).",
        (Panel(series, "generation", "", (0.0, 1.0), whole_x=True),),
        tuple(rows),
    )
