"""Cautions of a comparison: unlike runs, unfinished runs, few seeds, unequal compute.

Left out: whether a difference of configs could matter. Not guaranteed: that two runs without a caution are alike in
everything outside their configs; only what a run stores about its versions and commit is compared.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from arena.report.comparison.arms import Arm, complete
from arena.report.source import Source

FEW = 5
"""Fewer seeds than this are called few."""
EQUAL = 1.02
"""Arms whose compute differs by less than this factor are called equal in compute."""


def cautions(found: Sequence[Arm], scores: Mapping[Any, dict[str, float | None]]) -> list[str]:
    """Plain sentences, the gravest first."""
    runs = [run for arm in found for run in arm.runs]
    said = _unlike(runs)
    for run in runs:
        if not run.analysis["finished"]:
            said.append(
                f"{run.folder} is not finished ({complete(run)} of {run.config.generations} generations): it is in the "
                "curves as far as it was played, and in no final score."
            )
    if len(found) == 1:
        said.append("All runs have the same config: seeds are pooled, and there is nothing to compare.")
    finished = {arm.name: sum(run.analysis["finished"] for run in arm.runs) for arm in found}
    for fewest, most, what in (
        (0, 0, "no finished run, and so no final scores"),
        (1, 1, "one finished seed, so there is no interval over seeds"),
        (2, FEW - 1, f"fewer than {FEW} finished seeds: intervals by bootstrap are too narrow"),
    ):
        if names := [name for name, n in finished.items() if fewest <= n <= most]:
            said.append(f"{' and '.join(names)}: {what}.")
    said += _unequal_compute(found, scores)
    for arm in found[1:]:
        shared = set(arm.seeds) & set(found[0].seeds)
        if len(shared) < 2:
            said.append(
                f"{arm.name} and {found[0].name} share {len(shared) or 'no'} seed{'s' * (len(shared) != 1)}: they are "
                "compared as independent runs."
            )
        elif 2.0 ** (1 - len(shared)) > 0.05:
            least = 2.0 ** (1 - len(shared))
            said.append(
                f"With {len(shared)} shared seeds of {arm.name} a sign-flip test cannot go below p = {least:.2g}, "
                "whatever the difference."
            )
    if len(found) > 1:
        said.append("Intervals are 95 %; nothing is corrected for the number of arms and scores.")
    return said


def _unlike(runs: Sequence[Source]) -> list[str]:
    """Differences between runs that are not differences of arms, or that make scores incomparable."""
    said = []
    mains = sorted({run.analysis["domain"] for run in runs})
    if len(mains) > 1:
        said.append(f"The main domains differ ({', '.join(mains)}): held-out rates are over different problems.")
    splits = sorted({run.config.measure.split for run in runs})
    if len(splits) > 1:
        said.append("Some runs were measured on the dev set and some on the test set: held-out rates do not compare.")
    metas = [run.store.meta() for run in runs]
    models: dict[str, set[str]] = {}
    for run, meta in zip(runs, metas, strict=True):
        models.setdefault(run.config.model.path, set()).add(meta.get("base model", "unknown"))
    for path, digests in models.items():
        if len(digests) > 1:
            said.append(
                f"Runs with model.path {path} were played with different weights: {', '.join(sorted(digests))}."
            )
    keys = sorted({k for m in metas for k in m} - {"base", "base model", "seed", "threads"})
    for key in keys:
        values = sorted({m.get(key, "unknown") for m in metas})
        if len(values) > 1:
            said.append(f"Runs were played with different {key}: {', '.join(values)}.")
    return said


def _unequal_compute(found: Sequence[Arm], scores: Mapping[Any, dict[str, float | None]]) -> list[str]:
    means = {}
    for arm in found:
        used = [c for run in arm.runs if (c := scores[run.folder].get("compute")) is not None]
        if used:
            means[arm.name] = statistics.fmean(used)
    if len(means) < 2 or max(means.values()) <= EQUAL * min(means.values()):
        return []
    shown = ", ".join(f"{name} {units:,.0f}" for name, units in means.items())
    return [f"Compute is not equal, in mean units of a run: {shown}. Compare the curves over compute."]
