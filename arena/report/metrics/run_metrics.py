"""What an experiment measures of a finished run: one small function each, by name in `METRICS`.

A metric reads the run's database and gives one number, or None where the run has nothing to say (no such domain, no
generation played). Held-out figures are of the run's main domain (the first of its config). What is measured of a
culture has a file of its own, `experiment_metrics_culture`.

Left out: intervals, which are over seeds and so are the experiment's business; anything from outside run.db.

Not guaranteed: that `seconds` compares across machines or loads. It is the one metric from the wall clock.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from arena.report.metrics.culture_metrics import CULTURE_METRICS
from arena.report.metrics.finished_run import FinishedRun, Metric, difference
from arena.run.store import Row
from curricula.hidden_world import WORDS

__all__ = ["METRICS", "FinishedRun", "all_metrics", "curve", "heldout"]
HELDOUT_DEPTHS = (3, 4, 5, 6)


# -- held-out skill -------------------------------------------------------------------------------------------------


def heldout(run: FinishedRun, generation: int, mode: str) -> float | None:
    """Mean over depths 3 to 6 of the share of held-out problems solved by any of k attempts; None without a depth.

    Mode `full` is one greedy attempt (pass@1), `pass` k samples (pass@k with n = k), `greedy` one greedy attempt at the
    small set of each generation.
    """
    rows = run.store.query(
        "SELECT depth, AVG(correct > 0) AS share FROM evaluations WHERE generation = ? AND mode = ? AND domain = ?"
        " GROUP BY depth",
        [generation, mode, run.main],
    )
    shares = {r["depth"]: r["share"] for r in rows}
    if not all(d in shares for d in HELDOUT_DEPTHS):
        return None
    return statistics.fmean(shares[d] for d in HELDOUT_DEPTHS)


def heldout_3_6(run: FinishedRun) -> float | None:
    return heldout(run, run.last, "full")


def before_3_6(run: FinishedRun) -> float | None:
    return heldout(run, 0, "full")


def gain_3_6(run: FinishedRun) -> float | None:
    return difference(heldout_3_6(run), before_3_6(run))


def pass_at_k_3_6(run: FinishedRun) -> float | None:
    return heldout(run, run.last, "pass")


def curve(run: FinishedRun) -> list[tuple[float, float]]:
    """(compute units up to the end of a generation, held-out 3 to 6 greedy then), by generation."""
    points, units = [], 0.0
    for row in run.store.query(
        "SELECT generation, SUM(counted * (prompt_tokens + generated_tokens + 3 * trained_tokens)) AS units FROM phases"
        " GROUP BY generation ORDER BY generation"
    ):
        units += row["units"]
        share = heldout(run, row["generation"], "greedy")
        if share is not None:
            points.append((units, share))
    return points


# -- names ----------------------------------------------------------------------------------------------------------


def names(run: FinishedRun, reading: int, known: bool = False) -> float | None:
    """Share of held-out problems with hidden words solved at the end, greedy, reading the library or not.

    `known`: only problems all of whose names have a definition in the library.
    """
    rows: Sequence[Row] = run.store.query(
        "SELECT problem, correct FROM evaluations WHERE generation = ? AND mode = 'full' AND domain = 'hidden_words'"
        " AND reading = ?",
        [run.last, reading],
    )
    if known:
        defined = {r["title"] for r in run.store.query("SELECT title FROM posts WHERE kind = 'definition'")}
        rows = [r for r in rows if defined.issuperset(names_of(r["problem"]))]
    return statistics.fmean(r["correct"] for r in rows) if rows else None


def names_of(problem: str) -> Iterator[str]:
    """The issued names in a problem's program."""
    return (word for word in problem.partition("|")[0].split() if word in WORDS)


def names_with_reading(run: FinishedRun) -> float | None:
    return names(run, 1)


def names_without_reading(run: FinishedRun) -> float | None:
    return names(run, 0)


def names_difference(run: FinishedRun) -> float | None:
    return difference(names(run, 1), names(run, 0))


def names_known_with_reading(run: FinishedRun) -> float | None:
    return names(run, 1, known=True)


def names_known_without_reading(run: FinishedRun) -> float | None:
    return names(run, 0, known=True)


def names_known_difference(run: FinishedRun) -> float | None:
    return difference(names(run, 1, known=True), names(run, 0, known=True))


# -- the game and what it cost --------------------------------------------------------------------------------------


def per_generation(run: FinishedRun, total: float | None) -> float | None:
    return (total or 0.0) / run.last if run.last else None


def learnable_per_generation(run: FinishedRun) -> float | None:
    return per_generation(run, run.number("SELECT SUM(learnable) FROM outcomes"))


def valid_per_generation(run: FinishedRun) -> float | None:
    return per_generation(run, run.number("SELECT SUM(valid) FROM problems"))


def generations(run: FinishedRun) -> float | None:
    return float(run.last)


def compute(run: FinishedRun) -> float | None:
    """Compute units, evaluation apart."""
    return run.store.compute()


def evaluation_compute(run: FinishedRun) -> float | None:
    """Compute units of evaluation."""
    return run.number(
        "SELECT TOTAL(prompt_tokens + generated_tokens + 3 * trained_tokens) FROM phases WHERE NOT counted"
    )


def seconds(run: FinishedRun) -> float | None:
    """Wall clock of all phases, summed over interruptions."""
    return run.number("SELECT TOTAL(seconds) FROM telemetry")


METRICS: dict[str, Metric] = {
    "heldout_3_6": heldout_3_6,
    "before_3_6": before_3_6,
    "gain_3_6": gain_3_6,
    "pass_at_k_3_6": pass_at_k_3_6,
    "names_with_reading": names_with_reading,
    "names_without_reading": names_without_reading,
    "names_difference": names_difference,
    "names_known_with_reading": names_known_with_reading,
    "names_known_without_reading": names_known_without_reading,
    "names_known_difference": names_known_difference,
    "learnable_per_generation": learnable_per_generation,
    "valid_per_generation": valid_per_generation,
    "generations": generations,
    "compute": compute,
    "evaluation_compute": evaluation_compute,
    "seconds": seconds,
    **CULTURE_METRICS,
}


def all_metrics(run: FinishedRun) -> dict[str, float | None]:
    return {name: metric(run) for name, metric in METRICS.items()}
