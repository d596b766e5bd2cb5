"""Growth of a long run: memory, open files, threads, processes, bytes on disk and seconds, by generation.

One run of `configs/tiny.yaml` is played in its own process, which reports its resources after each generation
(`long_child`). After a warm-up, a line is fitted to each figure, and its slope for 100 generations is given with an
interval. Neighbouring generations are correlated, so the line is fitted to means of blocks of generations.

Left out: the resources of a resumed run; the memory of sandbox processes. Not guaranteed: that a figure that is
constant here is constant in another config. Seconds are processor seconds of all threads; `wall` in `--json` is wall
time."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agents.adapters import AdapterLayout
from arena.config.schema import load_config
from arena.report.stats.intervals import t_quantile
from arena.run.estimate_size import Sizes, predict
from arena.run.state import load_base, make_domains

GENERATIONS, QUICK = 500, 30
WARM_UP = 50
"""First generations, which the fit leaves out; a fifth of a shorter run."""
BLOCKS = 15
WIDTH = 21
"""Generations whose median is given as the cost at one point."""
MIB = 2**20
CONFIG = "configs/tiny.yaml"
SLOPES = (
    ("rss", MIB, "MiB", "memory"),
    ("files", 1, "", "open files"),
    ("threads", 1, "", "threads"),
    ("children", 1, "", "child processes"),
    ("database", 1024, "KiB", "run.db"),
    ("adapters", 1024, "KiB", "adapters"),
    ("seconds", 0.001, "ms", "a generation"),
)
Say = Callable[[str], None]
Line = dict[str, Any]


def measure(generations: int, retention: int, say: Say, plot: Path | None = None) -> dict[str, Any]:
    """Play, print the results, and return them as `--json` stores them. Raises ValueError without /proc."""
    if not Path("/proc/self/statm").exists():
        raise ValueError("bench long reads /proc, which this system does not have")
    say(f"long: {CONFIG}, {generations} generations, store.retention={retention}")
    lines = played(generations, retention, say)
    found = slopes_of(lines, say)
    sizes = expected(generations, retention)
    last = lines[-1]
    say(f"  run.db: {last['database'] / MIB:.1f} MiB, predicted {sizes.database / MIB:.1f} MiB"
        f" ({sizes.database_whole / MIB:.1f} MiB with all words kept); adapters: {last['adapters'] / MIB:.1f} MiB,"
        f" predicted {sizes.adapters / MIB:.1f} MiB")  # fmt: skip
    found |= {
        "config": CONFIG, "generations": generations, "retention": retention, "lines": lines,
        "predicted": {"database": sizes.database, "database_whole": sizes.database_whole, "adapters": sizes.adapters},
    }  # fmt: skip
    if plot is not None:
        from arena.tools.bench.plot import draw_long

        draw_long(lines, f"{CONFIG}, {generations} generations, store.retention={retention}", plot)
        say(f"wrote {plot}")
    return found


def expected(generations: int, retention: int) -> Sizes:
    """The size that the estimate before a run predicts."""
    config = load_config(CONFIG, overrides(generations, retention))
    layout = AdapterLayout(load_base(config)[0].config, config.sleep.rank, config.sleep.alpha)
    return predict(config, make_domains(config), layout.size)


def overrides(generations: int, retention: int) -> list[str]:
    return [f"generations={generations}", f"store.retention={retention}", "run.name=long"]


def played(generations: int, retention: int, say: Say) -> list[Line]:
    """The reports of the child, one a generation. Raises ValueError if it failed."""
    found: list[Line] = []
    with tempfile.TemporaryDirectory(prefix="bench-long-") as folder:
        command = [sys.executable, "-m", "arena.tools.bench.long_child", CONFIG, *overrides(generations, retention)]
        with subprocess.Popen([*command, f"run.folder={folder}"], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for text in child.stdout:
                found.append(json.loads(text))
                if found[-1]["generation"] % 50 == 0 and found[-1]["generation"]:
                    say(f"  {point(found, found[-1]['generation'])}")
        if child.returncode:
            raise ValueError(f"the run ended with exit status {child.returncode} after {len(found)} generations")
    return found


def point(lines: Sequence[Line], generation: int) -> str:
    """One line: the resources at one generation."""
    at = next(line for line in lines if line["generation"] == generation)
    return (
        f"generation {generation:>4}: {1000 * around(lines, generation):6.0f} ms a generation,"
        f" {at['rss'] / MIB:6.1f} MiB, {at['files']} files, {at['threads']} threads, {at['children']} children,"
        f" run.db {at['database'] / MIB:.1f} MiB"
    )


def around(lines: Sequence[Line], generation: int) -> float:
    """Median processor seconds of the generations around one."""
    half = WIDTH // 2
    near = [float(x["seconds"]) for x in lines if x["generation"] and abs(x["generation"] - generation) <= half]
    return statistics.median(near)


def slopes_of(lines: Sequence[Line], say: Say) -> dict[str, Any]:
    """Print and return slopes for 100 generations, after the warm-up."""
    warm = min(WARM_UP, len(lines) // 5)
    rest = [line for line in lines if line["generation"] > warm]
    say(f"  for 100 generations, after the first {warm} (95 % intervals):")
    slopes = {}
    for name, unit, word, title in SLOPES:
        slope, low, high = (100 * value / unit for value in fit([(x["generation"], x[name]) for x in rest]))
        slopes[name] = {"slope": slope * unit, "low": low * unit, "high": high * unit}
        say(f"    {title:<16} {slope:+10.3f} [{low:+.3f}, {high:+.3f}] {word}")
    last = lines[-1]["generation"]
    points = sorted({g for g in (50, last // 2, last) if 0 < g <= last})
    seconds = {str(g): around(lines, g) for g in points}
    return {"warm_up": warm, "slopes": slopes, "seconds": seconds}


def fit(points: Sequence[tuple[int, float]]) -> tuple[float, float, float]:
    """Slope a generation of the least-squares line through the means of `BLOCKS` blocks, with a 95 % interval
    (Student's t); (nan, nan, nan) of too few points."""
    blocks = min(BLOCKS, len(points) // 2)
    if blocks < 3:
        return (float("nan"),) * 3
    cut = [points[len(points) * i // blocks : len(points) * (i + 1) // blocks] for i in range(blocks)]
    x, y = ([statistics.fmean(p[at] for p in block) for block in cut] for at in (0, 1))
    mx, my = statistics.fmean(x), statistics.fmean(y)
    sxx = sum((a - mx) ** 2 for a in x)
    slope = sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True)) / sxx
    left = sum((b - my - slope * (a - mx)) ** 2 for a, b in zip(x, y, strict=True))
    half = t_quantile(blocks - 2) * (left / (blocks - 2) / sxx) ** 0.5
    return slope, slope - half, slope + half
