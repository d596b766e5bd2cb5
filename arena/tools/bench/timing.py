"""Timing of sides: interleaved, after one warm-up each, in processor time and in wall time.

Sides take turns (A B C A B C ...), so that a slow hour of the machine is slow for all of them, and ratios are taken
within a turn before their median over turns. Processor time covers the process with all its threads, plus the reported
time of a side's own subprocess. Left out: confidence intervals; with a few turns, the whole range is given.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """The work of one turn. The rate counts `tokens`; `child_cpu` is the processor time of a subprocess in seconds, and
    `child_wall`, if given, the time that the work itself took there."""

    tokens: int
    prompt_tokens: int = 0
    child_cpu: float = 0.0
    child_wall: float | None = None


@dataclass(frozen=True)
class Sample:
    """One timed turn; seconds."""

    tokens: int
    prompt_tokens: int
    cpu: float
    wall: float

    @property
    def rate(self) -> float:
        """Tokens a processor second."""
        return self.tokens / max(self.cpu, 1e-9)

    @property
    def wall_rate(self) -> float:
        return self.tokens / max(self.wall, 1e-9)


@dataclass(frozen=True)
class Side:
    """One competitor. `run(turn)` does the work of a turn, and turn 0 is the warm-up; `close` ends its subprocesses."""

    name: str
    run: Callable[[int], Work]
    close: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Spread:
    median: float
    low: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        return Spread(statistics.median(values), min(values), max(values))


def timed(side: Side, turn: int) -> Sample:
    """Run one turn and time it."""
    wall, cpu = time.perf_counter(), time.process_time()
    work = side.run(turn)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    if work.child_wall is not None:
        wall = work.child_wall
    return Sample(work.tokens, work.prompt_tokens, cpu + work.child_cpu, wall)


def interleave(
    sides: Sequence[Side], repeats: int, done: Callable[[str, int, Sample], None] = lambda *_: None
) -> dict[str, list[Sample]]:
    """Warm up every side, then let the sides take `repeats` turns in order. Returns the samples by name, without
    warm-ups.

    `done` is called after every turn, warm-ups (turn 0) included. Raises ValueError for two sides with the same name.
    """
    names = [s.name for s in sides]
    if len(set(names)) < len(names):
        raise ValueError(f"two sides have the same name: {', '.join(names)}")
    samples: dict[str, list[Sample]] = {name: [] for name in names}
    for turn in range(repeats + 1):
        for side in sides:
            sample = timed(side, turn)
            done(side.name, turn, sample)
            if turn:
                samples[side.name].append(sample)
    return samples


def paired(of: Sequence[float], over: Sequence[float]) -> Spread:
    """The ratio within each turn: median, least and greatest."""
    return Spread.of([a / b for a, b in zip(of, over, strict=True)])
