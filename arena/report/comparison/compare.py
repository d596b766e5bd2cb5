"""Several runs side by side: arms by config difference, seeds pooled, effects with intervals, curves with bands.

The first run's arm is the baseline. Scores of a run are those of experiments (`arena.report.metrics.run_metrics`) and
its held-out rates by depth. If arms share two seeds or more, differences are paired by seed (Student's t, and an exact
sign-flip test); otherwise they are of independent runs (Welch). Over held-out depths as tasks, arms are compared by
interquartile mean and probability of improvement (Agarwal et al. 2021). One run gives the scores of all depths, so the
bootstrap draws whole runs; intervals that draw runs anew for each depth, as rliable does, are given too.

An unfinished run is in the curves as far as it was played, and in no score that needs the end.

Left out: corrections for the number of arms and scores; equal compute, which `experiment` ensures. Not guaranteed:
coverage with few seeds; with two, a t interval is as wide as it must be and a bootstrap much too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from arena.report.comparison.arms import Arm, arms, complete
from arena.report.comparison.cautions import cautions
from arena.report.comparison.curves import compute_curve, generation_curves, heldout_depths
from arena.report.metrics.run_metrics import METRICS, FinishedRun, all_metrics
from arena.report.metrics.run_summary import without_nan
from arena.report.source import Source
from arena.report.stats.intervals import (
    Scores,
    interquartile_mean,
    paired_difference,
    probability_of_improvement,
    sign_flip_test,
    stratified_bootstrap,
    welch_difference,
)
from arena.report.stats.over_seeds import estimate

Row = dict[str, Any]
BEFORE = ("before_3_6",)
"""Scores that an unfinished run has."""


def distinct(folders: Sequence[Path]) -> None:
    """Raises ValueError, naming both, if two folders are the same."""
    seen: dict[Path, Path] = {}
    for folder in folders:
        twin = seen.setdefault(folder.resolve(), folder)
        if twin is not folder:
            raise ValueError(f"{twin} and {folder} are the same run: name it once")


def compare(runs: Sequence[Source]) -> Row:
    """The comparison as plain data: only dicts, lists, str, int, float, bool and None. Raises ValueError for the same
    run twice, or two of one config and seed."""
    distinct([run.folder for run in runs])
    found = arms(runs)
    scores = {run.folder: _scores(run) for run in runs}
    tasks = _tasks(runs)
    depths = heldout_depths(runs)
    base = found[0]
    result: Row = {
        "baseline": base.name,
        "arms": [_arm(arm, scores, tasks) for arm in found],
        "effects": [_effects(arm, base, scores, tasks) for arm in found[1:]],
        "tasks": tasks,
        "curve_depths": depths,
        "curves": {
            arm.name: {
                **generation_curves(arm.runs, depths),
                "by_compute": compute_curve(arm.runs, depths),
            }
            for arm in found
        },
        "runs": [
            {
                "folder": str(run.folder),
                "name": run.config.run.name,
                "seed": run.config.seed,
                "arm": arm.name,
                "finished": run.analysis["finished"],
                "generations": complete(run),
                "planned_generations": run.config.generations,
                "scores": scores[run.folder],
            }
            for arm in found
            for run in arm.runs
        ],
        "cautions": cautions(found, scores),
    }
    plain: Row = without_nan(result)
    return plain


# -- the scores of a run ----------------------------------------------------------------------------------------------


def _scores(run: Source) -> dict[str, float | None]:
    main = run.analysis["domain"]
    if run.analysis["finished"]:
        found = all_metrics(FinishedRun.read(run.store, main, run.config.library))
    else:
        begun = FinishedRun(run.store, main, 0)
        found = {name: METRICS[name](begun) if name in BEFORE else None for name in METRICS}
    return found | {f"heldout_depth_{d}": rate for d, rate in _after(run).items()}


def _after(run: Source) -> dict[int, float]:
    """Held-out rate by depth after the last generation; empty before it has been measured."""
    if not run.analysis["finished"]:
        return {}
    full = [h for h in run.analysis["heldout"] if h["mode"] == "full"]
    last = max((h["generation"] for h in full), default=0)
    return {h["depth"]: h["pass_at_1"] for h in full if h["generation"] == last}


def _tasks(runs: Sequence[Source]) -> list[int]:
    """The depths that every finished run was measured at in the end."""
    finished = [set(_after(run)) for run in runs if run.analysis["finished"]]
    return sorted(set.intersection(*finished)) if finished else []


def _table(arm: Arm, tasks: Sequence[int]) -> Scores:
    """Held-out rates of an arm's finished runs, runs x depths."""
    return [[_after(run)[d] for d in tasks] for run in arm.runs if run.analysis["finished"]]


# -- arms and effects -------------------------------------------------------------------------------------------------


def _arm(arm: Arm, scores: Mapping[Any, dict[str, float | None]], tasks: Sequence[int]) -> Row:
    names = _names(scores)
    table = _table(arm, tasks)
    return {
        "name": arm.name,
        "differs": dict(arm.differs),
        "seeds": list(arm.seeds),
        "finished": len(table) if tasks else sum(run.analysis["finished"] for run in arm.runs),
        "scores": {name: estimate([scores[run.folder].get(name) for run in arm.runs]) for name in names},
        "iqm": _bootstrapped([table], interquartile_mean, tasks),
    }


def _names(scores: Mapping[Any, dict[str, float | None]]) -> list[str]:
    """All scores that any run has a value of, in one order."""
    names = {name: None for row in scores.values() for name in row}
    return [n for n in names if any(row.get(n) is not None for row in scores.values())]


def _bootstrapped(tables: Sequence[Scores], statistic: Any, tasks: Sequence[int]) -> Row | None:
    """A statistic of runs x depths with both intervals; None without a finished run in each arm, or without depths."""
    if not tasks or not all(tables):
        return None
    low, high = stratified_bootstrap(tables, statistic)
    by_task = stratified_bootstrap(tables, statistic, whole_runs=False)
    return {
        "value": statistic(*tables),
        "low": low,
        "high": high,
        "by_task_low": by_task[0],
        "by_task_high": by_task[1],
        "runs": [len(t) for t in tables],
        "tasks": len(tasks),
    }


def _effects(arm: Arm, base: Arm, scores: Mapping[Any, dict[str, float | None]], tasks: Sequence[int]) -> Row:
    tables = [_table(arm, tasks), _table(base, tasks)]
    return {
        "arm": arm.name,
        "baseline": base.name,
        "shared_seeds": sorted(set(arm.seeds) & set(base.seeds)),
        "scores": {
            name: effect(
                {run.config.seed: scores[run.folder].get(name) for run in arm.runs},
                {run.config.seed: scores[run.folder].get(name) for run in base.runs},
            )
            for name in _names(scores)
        },
        "iqm_difference": _bootstrapped(tables, _iqm_difference, tasks),
        "probability_of_improvement": _bootstrapped(tables, probability_of_improvement, tasks),
    }


def _iqm_difference(a: Scores, b: Scores) -> float:
    return interquartile_mean(a) - interquartile_mean(b)  # type: ignore[arg-type]


def effect(arm: Mapping[int, float | None], base: Mapping[int, float | None]) -> Row:
    """Arm minus baseline of one score, from values by seed: paired if two seeds or more are shared. `p` is that of the
    sign-flip test, paired only; `smallest_p` is the lowest it can reach with that number of seeds."""
    a = {s: v for s, v in sorted(arm.items()) if v is not None}
    b = {s: v for s, v in sorted(base.items()) if v is not None}
    shared = [s for s in a if s in b]
    if len(shared) >= 2 or (len(shared) == 1 and len(a) == len(b) == 1):
        mean, low, high = paired_difference([a[s] for s in shared], [b[s] for s in shared])
        p = sign_flip_test([a[s] - b[s] for s in shared])
        tested = len(shared) >= 2
        return {
            "how": "paired",
            "difference": mean,
            "low": low,
            "high": high,
            "n": [len(shared), len(shared)],
            "p": p if tested else None,
            "smallest_p": 2.0 ** (1 - len(shared)) if tested else None,
        }
    mean, low, high = welch_difference(list(a.values()), list(b.values()))
    n = [len(a), len(b)]
    return {
        "how": "independent",
        "difference": mean if math.isfinite(mean) else None,
        "low": low,
        "high": high,
        "n": n,
        "p": None,
        "smallest_p": None,
    }
