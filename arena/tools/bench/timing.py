"""How sides are timed: interleaved, after a warm-up each, in processor time and in wall time.

Sides take turns (A B C A B C ...), so that an hour in which the machine is slow is slow for all of them, and a ratio is
taken within a turn before its median over turns. Processor time is of the whole process with all its threads, plus what
a side's own subprocess says it used. Left out: confidence intervals; with a handful of turns the whole spread is told.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """What one turn of a side did. `tokens` is what its rate counts; `child_cpu` seconds were used by a subprocess,
    and `child_wall`, if given, is the time in which the work itself was done there."""

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
    """One competitor: `run(turn)` does the work of a turn, turn 0 being the warm-up; `close` ends what it started."""

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
    """One turn with its times."""
    wall, cpu = time.perf_counter(), time.process_time()
    work = side.run(turn)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    if work.child_wall is not None:
        wall = work.child_wall
    return Sample(work.tokens, work.prompt_tokens, cpu + work.child_cpu, wall)


def interleave(
    sides: Sequence[Side], repeats: int, done: Callable[[str, int, Sample], None] = lambda *_: None
) -> dict[str, list[Sample]]:
    """Warm every side up, then let them take `repeats` turns in order; their samples by name, warm-ups left out.

    `done` hears of every turn as it ends, warm-ups (turn 0) too. Raises ValueError for two sides of one name.
    """
    names = [s.name for s in sides]
    if len(set(names)) < len(names):
        raise ValueError(f"two sides have one name: {', '.join(names)}")
    samples: dict[str, list[Sample]] = {name: [] for name in names}
    for turn in range(repeats + 1):
        for side in sides:
            sample = timed(side, turn)
            done(side.name, turn, sample)
            if turn:
                samples[side.name].append(sample)
    return samples


def paired(of: Sequence[float], over: Sequence[float]) -> Spread:
    """The ratio within each turn: its median, least and greatest."""
    return Spread.of([a / b for a, b in zip(of, over, strict=True)])
