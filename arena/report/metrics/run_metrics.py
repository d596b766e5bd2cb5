"""Metrics of a finished run for experiments: one small function each, by name in `METRICS`.

A metric reads the run's database and returns one number, or None if the run has no data for it (no such domain, no
generation played). Held-out figures are of the run's main domain (the first of its config). Metrics of culture are in
`culture_metrics`.

Left out: intervals, which are over seeds and belong to experiments; anything from outside run.db.

Not guaranteed: that `seconds` compares across machines or loads. It is the one metric from the wall clock.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from operator import attrgetter

from arena.report.metrics import generation, learning
from arena.report.metrics.culture_metrics import CULTURE_METRICS
from arena.report.metrics.diversity import diversity
from arena.report.metrics.finished_run import FinishedRun, Metric, Points, difference
from arena.report.metrics.heldout import COUNTS, Solved, middle_mean, names_at, solved

__all__ = ["METRICS", "FinishedRun", "all_metrics", "curve", "heldout"]


# -- held-out skill -------------------------------------------------------------------------------------------------


def heldout(run: FinishedRun, at: int, mode: str) -> float | None:
    """Mean over depths 3 to 6 of the share of held-out problems solved by any of k attempts; None without a depth."""
    by_depth = solved(run.store, run.main, mode, at).get(at, {})
    return middle_mean({depth: found.rate for depth, found in by_depth.items()})


def heldout_3_6(run: FinishedRun) -> float | None:
    return heldout(run, run.last, "full")


def before_3_6(run: FinishedRun) -> float | None:
    return heldout(run, 0, "full")


def gain_3_6(run: FinishedRun) -> float | None:
    return difference(heldout_3_6(run), before_3_6(run))


def pass_at_k_3_6(run: FinishedRun) -> float | None:
    return heldout(run, run.last, "pass")


def measured_mean(
    run: FinishedRun, at: int, mode: str, share: Callable[[Solved], float] = attrgetter("rate")
) -> float | None:
    """Mean over all measured depths of a share, by default of the held-out problems solved by any of k attempts."""
    by_depth = solved(run.store, run.main, mode, at).get(at, {})
    return statistics.fmean(map(share, by_depth.values())) if by_depth else None


def heldout_mean(run: FinishedRun) -> float | None:
    return measured_mean(run, run.last, "full")


def gain_mean(run: FinishedRun) -> float | None:
    return difference(heldout_mean(run), measured_mean(run, 0, "full"))


def pass_at_k_mean(run: FinishedRun) -> float | None:
    return measured_mean(run, run.last, "pass")


def pass_at_k_gain(run: FinishedRun) -> float | None:
    return difference(pass_at_k_mean(run), measured_mean(run, 0, "pass"))


def sampled_mean(run: FinishedRun) -> float | None:
    """Mean over all measured depths of the share of right attempts among k samples a held-out problem."""
    return measured_mean(run, run.last, "pass", attrgetter("mean"))


def sampled_gain(run: FinishedRun) -> float | None:
    return difference(sampled_mean(run), measured_mean(run, 0, "pass", attrgetter("mean")))


def curve(run: FinishedRun) -> list[tuple[float, float]]:
    """(compute units up to the end of a generation, held-out 3 to 6 greedy then), by generation."""
    shares = dict(heldout_series(run))
    return [(units, shares[g]) for g, units in generation.compute(run.store).items() if g in shares]


def heldout_series(run: FinishedRun) -> Points:
    """Held-out skill at depths 3 to 6, one greedy attempt, on the small set of each generation."""
    found = solved(run.store, run.main, "greedy")
    means = {g: middle_mean({d: x.rate for d, x in by_depth.items()}) for g, by_depth in found.items()}
    return [(g, mean) for g, mean in sorted(means.items()) if mean is not None]


# -- diversity of what is set ---------------------------------------------------------------------------------------


def change_of(run: FinishedRun, key: str) -> float | None:
    """A measure of diversity in the last quarter of the generations, as a share of its value in the first."""
    rows, _ = diversity(run.store, run.main, 0)
    values = [r[key] for r in rows if r[key] is not None]
    quarter = len(values) // 4
    if not quarter or not (first := statistics.fmean(values[:quarter])):
        return None
    return statistics.fmean(values[-quarter:]) / first


def first_words_kept(run: FinishedRun) -> float | None:
    return change_of(run, "first_words_n1")


def triples_kept(run: FinishedRun) -> float | None:
    return change_of(run, "distinct_3")


def operations_kept(run: FinishedRun) -> float | None:
    return change_of(run, "operations_n1")


# -- names ----------------------------------------------------------------------------------------------------------


def names(run: FinishedRun, key: str, known: bool = False) -> float | None:
    """A rate of `heldout.names_at` at the end of the run: `with_reading`, `without_reading` or their `difference`.

    `known`: only problems all of whose names have a definition in the library.
    """
    rates = names_at(run.store, run.last, "full")["known" if known else "all"]
    found: float | None = rates[key]
    return found


def names_with_reading(run: FinishedRun) -> float | None:
    return names(run, "with_reading")


def names_without_reading(run: FinishedRun) -> float | None:
    return names(run, "without_reading")


def names_difference(run: FinishedRun) -> float | None:
    return names(run, "difference")


def names_known_with_reading(run: FinishedRun) -> float | None:
    return names(run, "with_reading", known=True)


def names_known_without_reading(run: FinishedRun) -> float | None:
    return names(run, "without_reading", known=True)


def names_known_difference(run: FinishedRun) -> float | None:
    return names(run, "difference", known=True)


# -- the game and what it cost --------------------------------------------------------------------------------------


def per_generation(run: FinishedRun, total: float) -> float | None:
    return total / run.last if run.last else None


def learnable_per_generation(run: FinishedRun) -> float | None:
    return per_generation(run, sum(o.learnable for o in generation.outcomes(run.store).values()))


def valid_per_generation(run: FinishedRun) -> float | None:
    return per_generation(run, sum(p.valid for p in generation.proposals(run.store).values()))


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


# -- learning -------------------------------------------------------------------------------------------------------


def heldout_at(depth: int) -> Metric:
    """Held-out skill at one depth after the last generation."""

    def metric(run: FinishedRun) -> float | None:
        found = solved(run.store, run.main, "full", run.last).get(run.last, {}).get(depth)
        return None if found is None else found.rate

    return metric


def frontier(run: FinishedRun) -> float | None:
    """The deepest depth at which at least half of the held-out problems are solved greedily; 0 if there is none."""
    by_depth = solved(run.store, run.main, "full", run.last).get(run.last, {})
    return float(max((d for d, found in by_depth.items() if found.rate >= 0.5), default=0)) if by_depth else None


def always_3_6(run: FinishedRun) -> float | None:
    """Mean over depths 3 to 6 of the share of held-out problems solved by all of k samples."""
    sql = (
        "SELECT depth, AVG(correct >= k) AS rate FROM evaluations WHERE domain = ? AND mode = 'pass' AND generation = ?"
        f" AND {COUNTS} GROUP BY depth"
    )
    return middle_mean({r["depth"]: r["rate"] for r in run.store.query(sql, [run.main, run.last])})


def broken_traces(run: FinishedRun) -> float | None:
    """Share of right answers to held-out problems, after the last generation, whose trace does not hold."""
    return run.number(
        "SELECT 1 - SUM(correct) * 1.0 / SUM(answer_correct) FROM evaluations WHERE domain = ? AND mode = 'full'"
        f" AND generation = ? AND answer_correct AND {COUNTS}",
        [run.main, run.last],
    )


def gain_per_million(run: FinishedRun) -> float | None:
    """Gain at depths 3 to 6 per million compute units."""
    gain, units = gain_3_6(run), compute(run)
    return None if gain is None or not units else 1e6 * gain / units


def value_error(run: FinishedRun) -> float | None:
    return learning.calibration_error(learning.judged(run.store), -1)


def value_rank(run: FinishedRun) -> float | None:
    return learning.forecast_rank(learning.judged(run.store))


def stopped_share(run: FinishedRun) -> float | None:
    """Share of attempts that an estimate ended."""
    return run.number("SELECT AVG(stopped) FROM attempts WHERE stopped IS NOT NULL")


def corrected(run: FinishedRun) -> float | None:
    """Share of rewritten attempts that are right."""
    rewritten, right = learning.corrections(run.store)
    return right / rewritten if rewritten else None


METRICS: dict[str, Metric] = {
    "heldout_3_6": heldout_3_6,
    "before_3_6": before_3_6,
    "gain_3_6": gain_3_6,
    "pass_at_k_3_6": pass_at_k_3_6,
    "heldout_mean": heldout_mean,
    "gain_mean": gain_mean,
    "sampled_mean": sampled_mean,
    "sampled_gain": sampled_gain,
    "pass_at_k_mean": pass_at_k_mean,
    "pass_at_k_gain": pass_at_k_gain,
    "first_words_kept": first_words_kept,
    "triples_kept": triples_kept,
    "operations_kept": operations_kept,
    "names_with_reading": names_with_reading,
    "names_without_reading": names_without_reading,
    "names_difference": names_difference,
    "names_known_with_reading": names_known_with_reading,
    "names_known_without_reading": names_known_without_reading,
    "names_known_difference": names_known_difference,
    "heldout_7": heldout_at(7),
    "heldout_8": heldout_at(8),
    "heldout_10": heldout_at(10),
    "frontier": frontier,
    "always_3_6": always_3_6,
    "broken_traces": broken_traces,
    "gain_per_million": gain_per_million,
    "value_error": value_error,
    "value_rank": value_rank,
    "stopped_share": stopped_share,
    "corrected": corrected,
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
