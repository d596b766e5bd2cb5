"""The command `chaos`: kills runs of a config at random moments, a given number of times, and reports the result.

The config is played once undisturbed. Then it is played again and again in processes that are killed with SIGKILL and
resumed, to its end. A run passes if its digest equals that of the undisturbed one, its log verifies, its files match
their rows, and no post that a process reported as stored is missing.

Left out: engines other than torch (a server's answers cannot be repeated), islands, and power cuts, which no process
can simulate. Not guaranteed: that the same seed kills at the same instructions; the plan is the same, but timing
depends on the machine."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from arena.config.schema import load_config
from arena.tools.chaos.events import PLACES
from arena.tools.chaos.hunt import Tally, hunt, undisturbed
from arena.tools.chaos.player import warm
from arena.tools.chaos.verdict import Verdict, judge


@dataclass
class Outcome:
    """The result of a whole chaos test."""

    config: str
    seed: int
    tally: Tally
    verdict: Verdict
    seconds: float
    order: list[str]

    @property
    def rate(self) -> float:
        """Kills a minute of the whole duration."""
        return 60.0 * self.tally.killed / self.seconds

    def table(self) -> list[tuple[str, list[int]]]:
        """Kills by phase, in the order in which phases are played, and within a phase by place."""
        kills = self.tally.kills
        return [(phase, [kills[phase, place] for place in PLACES]) for phase in self.order]

    def to_json(self) -> dict[str, Any]:
        faults = asdict(self.verdict)
        return {
            "config": self.config,
            "seed": self.seed,
            "kills": self.tally.killed,
            "kills_by_phase": {
                phase: {place: n for place, n in zip(PLACES, counts, strict=True) if n}
                for phase, counts in self.table()
            },
            "runs": self.tally.runs,
            "resumes": self.tally.resumes,
            **faults,
            "seconds": round(self.seconds, 1),
            "kills_per_minute": round(self.rate, 1),
        }


def chaos(
    config: str, kills: int, seed: int = 0, folder: Path | None = None, report: Callable[[Tally], None] = lambda _: None
) -> Outcome:
    """Kill `kills` times and call `report` after each. Runs are in `folder`, or in a temporary one that is deleted if
    there are no faults.

    Raises ValueError for a config that cannot be tested, OSError for a player that fails by itself.
    """
    loaded = load_config(config, [])
    if not loaded.engine.spec.in_process or loaded.engine.device == "cuda":
        raise ValueError("chaos plays with engine.kind torch on the CPU: try configs/tiny.yaml")
    if loaded.cluster.clustered:
        raise ValueError("chaos plays one population, no islands: leave cluster out of its config")
    home = folder or Path(tempfile.mkdtemp(prefix="ratchet-chaos-"))
    if folder and folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty: give --folder another value")
    home.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    warm(loaded)
    timings, opening = undisturbed(config, home / "undisturbed")
    tally, verdict = Tally(), Verdict()
    while tally.killed < kills:
        killed, lost = home / f"killed{tally.runs + 1:03d}", tally.phases_lost
        hunt(config, killed, random.Random(f"chaos/{seed}/{tally.runs}"), timings, opening, tally, kills, report)
        verdict += judge(home / "undisturbed", killed, tally.reported, tally.phases_lost - lost)
    if verdict.passed and folder is None:
        shutil.rmtree(home)
    order = ["opening", *dict.fromkeys(phase for _, phase in timings)]
    return Outcome(config, seed, tally, verdict, time.monotonic() - started, order)
