"""Runs grouped by the keys in which their configs differ: an arm is all runs of one config, its seeds pooled.

Keys that cannot affect what is played are removed before configs are compared: the run's folder and name, live sinks,
sections of engines and of phases that the config does not use. The seed distinguishes the runs of an arm.

Left out: differences outside the config, such as versions (`cautions` mentions them). Not guaranteed: that a difference
of configs mattered; `engine.threads`, for one, changes rounding.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from arena.config.schema import Config
from arena.report.source import Source

IGNORED = ("seed", "run", "sinks")
LONGEST = 40
"""Longest name of an arm in characters; an arm with a longer one is numbered."""
ABSENT = "(none)"


@dataclass(frozen=True)
class Arm:
    """`differs` are the keys in which the arms differ, with this arm's values, as text."""

    name: str
    differs: Mapping[str, str]
    runs: tuple[Source, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(run.config.seed for run in self.runs)


def flat(config: Config) -> dict[str, str]:
    """The keys of a config that matter to what is played, dotted, with their values as JSON."""
    data = config.model_dump(mode="json")
    for name in IGNORED:
        data.pop(name, None)
    for section in ("openai", "vllm"):
        if config.engine.spec.section != section:
            data["engine"].pop(section)
    if not config.engine.options:
        data["engine"].pop("options")
    if not config.engine.spec.in_process:
        data["engine"].pop("max_rows")
    if not config.sleep.enabled:
        data["sleep"] = {"enabled": False}
    if not config.turnover.every:
        data["turnover"] = {"every": 0}
    return dict(_leaves(data, ""))


def _leaves(value: Any, path: str) -> Sequence[tuple[str, str]]:
    if isinstance(value, dict):
        return [leaf for key, below in value.items() for leaf in _leaves(below, f"{path}.{key}" if path else str(key))]
    return [(path, value if isinstance(value, str) else json.dumps(value))]


def arms(runs: Sequence[Source]) -> list[Arm]:
    """The arms in the order in which their first runs are given, each with its runs by seed.

    Raises ValueError, naming both, for two runs of one config and seed.
    """
    groups: dict[tuple[tuple[str, str], ...], list[Source]] = {}
    for run in runs:
        same = groups.setdefault(tuple(sorted(flat(run.config).items())), [])
        if twin := next((r for r in same if r.config.seed == run.config.seed), None):
            raise ValueError(
                f"{twin.folder} and {run.folder} are both seed {run.config.seed} of the same config: "
                "a seed counts once, so name one of them"
            )
        same.append(run)
    configs = [dict(key) for key in groups]
    keys = [k for k in {k: None for c in configs for k in c} if len({c.get(k) for c in configs}) > 1]
    found = []
    for number, (config, same) in enumerate(zip(configs, groups.values(), strict=True), start=1):
        differs = {key: config.get(key, ABSENT) for key in keys}
        ordered = tuple(sorted(same, key=lambda r: r.config.seed))
        found.append(Arm(_name(differs, number), differs, ordered))
    if len({arm.name for arm in found}) < len(found):
        found = [Arm(f"arm {i}", arm.differs, arm.runs) for i, arm in enumerate(found, start=1)]
    return found


def _name(differs: Mapping[str, str], number: int) -> str:
    """`setter=frozen`, with as much of a key as tells it from the other keys; `arm 2` where that is long."""
    if not differs:
        return "all runs"
    last = [key.rpartition(".")[2] for key in differs]
    short = {key: end if last.count(end) == 1 else key for key, end in zip(differs, last, strict=True)}
    name = ", ".join(f"{short[key]}={value}" for key, value in differs.items())
    return name if len(name) <= LONGEST else f"arm {number}"


def complete(run: Source) -> int:
    """Generations that were played to their end."""
    return sum(g["complete"] for g in run.analysis["generations"])
