"""The experiment file: a typed, strict description of arms and seeds, and the cells that it defines.

Everything that would make an experiment unfair is refused here: arms that differ in their measurements or in their
compute limit, dev seeds that are reserved for the final, the sealed test set anywhere but in the final.

Left out: playing the cells (`runner`). Not guaranteed: that arms differ in one thing only; that is up to the author.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from arena.config.overrides import flat, path_text
from arena.config.schema import Config, load_config, nearest, read_yaml
from arena.config.shipped import find_config
from arena.report.metrics.run_metrics import METRICS
from arena.report.metrics.series import SERIES

SEALED_SEEDS = range(100, 110)
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$"
OWNED = ("run", "seed", "measure.split")  # set by the experiment itself


class Experiment(BaseModel):
    """One experiment file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=NAME)
    """The experiment's folder is `<folder>/<name>`."""
    question: str = Field(min_length=1)
    """The question that the experiment answers, in one sentence."""
    base: str
    """The config that all arms start from; from the working directory, or a folder above the experiment file."""
    common: dict[str, Any] = Field(default_factory=dict)
    """Dotted overrides of all arms."""
    arms: dict[str, dict[str, Any] | None] = Field(min_length=1)
    """Dotted overrides by arm. Arms may not differ in what is measured nor in their compute limit."""
    seeds: list[int] = Field(min_length=1)
    """Seeds of the dev runs."""
    final_seeds: list[int] = Field(default_factory=list)
    """Seeds of the final, out of 100 to 109."""
    metrics: list[str] = Field(min_length=1)
    """Metrics of the table; the figure shows the first."""
    baseline: str
    """The arm that the others are compared with, paired by seed."""
    series: list[str] = Field(default_factory=list)
    """Series by generation: each has a panel of story.png, the first one the largest, and a CSV."""
    marks: dict[int, str] = Field(default_factory=dict)
    """Events by generation, such as {15: the library burns}: each is a line with these words in the panels."""
    highlight: list[str] = Field(default_factory=list)
    """Arms drawn in colour with their intervals, the others thin and grey (default: all in colour)."""


@dataclass(frozen=True)
class Cell:
    """One arm with one seed: one run."""

    arm: str
    seed: int
    config: Config

    @property
    def name(self) -> str:
        return self.config.run.name

    @property
    def folder(self) -> Path:
        return Path(self.config.run.folder) / self.name


def check_split(config: Config, final: bool = False) -> None:
    """Raises ValueError for a config that would open the sealed test set outside an experiment's final."""
    if config.measure.split == "test" and not final:
        raise ValueError("measure.split is 'test': the sealed test set is opened by `experiment --final` only")


def load_experiment(path: str | Path) -> Experiment:
    """Read an experiment file. Raises ValueError that names the offending key and the nearest right one."""
    data = read_yaml(path, "experiment")
    if not isinstance(data, dict):
        raise ValueError(f"{path} must hold a mapping of keys, found {type(data).__name__}")
    try:
        experiment = Experiment.model_validate(data)
    except ValidationError as error:
        raise ValueError(f"{path}: {_explain(error)}") from None
    for mistake in mistakes(experiment):
        raise ValueError(f"{path}: {mistake}")
    return experiment


def mistakes(e: Experiment) -> Iterator[str]:
    """Raise ValueError for mistakes that the experiment's own file shows."""
    for metric in e.metrics:
        if metric not in METRICS:
            near = nearest(metric, list(METRICS))
            yield f"unknown metric {metric!r}{near or '; expected some of ' + ', '.join(METRICS)}"
    for name in e.series:
        if name not in SERIES:
            yield f"unknown series {name!r}{nearest(name, list(SERIES)) or '; expected some of ' + ', '.join(SERIES)}"
    for arm in e.highlight:
        if arm not in e.arms:
            yield f"highlight holds {arm!r}, which is not an arm{nearest(arm, list(e.arms))}"
    if early := [g for g in e.marks if g < 0]:
        yield f"marks holds generation {early[0]}: generations count from 0"
    if (e.marks or e.highlight) and not e.series:
        yield "marks and highlight are about series, and none is named"
    if e.baseline not in e.arms:
        yield f"baseline {e.baseline!r} is not an arm{nearest(e.baseline, list(e.arms))}"
    lower = [arm.lower() for arm in e.arms]
    if same := [arm for arm in e.arms if lower.count(arm.lower()) > 1]:
        yield f"arms {' and '.join(map(repr, same))} differ only in case: on some file systems they share a folder"
    for arm in e.arms:
        if not re.fullmatch(NAME, arm):
            yield f"arm {arm!r}: a name is 1 to 40 letters, digits, dots, dashes and underscores"
    if e.name.endswith("-final"):
        yield f"name {e.name!r}: names ending in -final are taken by finals"
    named = (("series", e.series), ("highlight", e.highlight))
    for key, seeds in (("seeds", e.seeds), ("final_seeds", e.final_seeds), ("metrics", e.metrics), *named):
        if len(set(seeds)) < len(seeds):
            yield f"{key} holds one twice: {seeds}"
    if sealed := [s for s in e.seeds if s in SEALED_SEEDS or s < 0]:
        yield f"seeds holds {sealed[0]}: seeds are 0 or more, and 100 to 109 are kept for the final"
    if unsealed := [s for s in e.final_seeds if s not in SEALED_SEEDS]:
        yield f"final_seeds holds {unsealed[0]}: the final has seeds 100 to 109"
    for where, overrides in (("common", e.common), *((f"arms.{a}", o or {}) for a, o in e.arms.items())):
        for key in flat(overrides):
            if any(key == owned or key.startswith(owned + ".") for owned in OWNED):
                yield f"{where} sets {key}, which the experiment sets itself"


def make_cells(experiment: Experiment, path: str | Path, home: Path, final: bool) -> list[Cell]:
    """All cells, seed by seed. Raises ValueError naming the arm for a bad override or an unequal comparison."""
    base = find_base(path_text(experiment.base), path)
    seeds = experiment.final_seeds if final else experiment.seeds
    if not seeds:
        raise ValueError(f"{path} has no final_seeds: nothing to play")
    cells = []
    for seed in seeds:
        for arm, own in experiment.arms.items():
            owned = {"run.folder": str(home), "run.name": f"{arm}-s{seed}", "seed": seed}
            owned["measure.split"] = "test" if final else "dev"
            overrides = experiment.common | (own or {}) | owned
            try:
                config = load_config(base, overrides)
            except ValueError as error:
                raise ValueError(f"{path}, arm {arm!r}: {error}") from None
            check_split(config, final)
            cells.append(Cell(arm, seed, config))
    baseline = next(c for c in cells if c.arm == experiment.baseline).config
    for cell in cells:
        for key in differing(baseline, cell.config):
            if key.startswith(("measure.", "limits.")):
                raise ValueError(
                    f"{path}: arms {experiment.baseline!r} and {cell.arm!r} differ in {key}: not comparable"
                )
    return cells


def find_base(base: str, path: str | Path) -> Path:
    """The base config: below the working directory or a folder above the experiment file, or shipped. Raises
    ValueError."""
    for folder in (Path(), *Path(path).resolve().parents):
        if (folder / base).is_file():
            return folder / base
    if (shipped := find_config(base)).is_file():
        return shipped
    raise ValueError(f"{path}: no base config {base!r} in the working directory or above the experiment file")


def differing(a: Config, b: Config) -> list[str]:
    """Dotted keys in which two configs differ, except in section `run` (folder and name)."""
    left, right = flat(a.model_dump(mode="json")), flat(b.model_dump(mode="json"))
    keys = [k for k in {**left, **right} if not k.startswith("run.")]
    return [k for k in keys if k not in left or k not in right or left[k] != right[k]]


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    where, names = ".".join(map(str, first["loc"])), list(Experiment.model_fields)
    if first["type"] == "extra_forbidden":
        return f"unknown key {where!r}{nearest(where, names) or '; expected one of ' + ', '.join(names)}"
    if first["type"] == "missing":
        return f"the key {where!r} is missing"
    if first["type"] == "string_type" and isinstance(first["input"], bool | int | float | None):
        where = where.removesuffix(".[key]")
        return f"{where}: expected text, but YAML reads this as {first['input']!r}: put it in quotes"
    return f"{where}: {first['msg']} (got {str(first['input'])[:60]!r})"
