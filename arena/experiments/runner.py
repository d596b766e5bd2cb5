"""Experiments: arms times seeds at equal compute. Every claim of the project is measured by one.

An experiment file names a base config, the overrides of each arm, and the seeds. A cell is one arm with one seed: one
run in `<folder>/<name>/<arm>-s<seed>/`, played in a process of its own. Finished cells are kept and unfinished ones
resumed, so an experiment may be interrupted and continued later; a cell played with another config is an error, never
reused and never deleted. `final` plays the final seeds on the sealed test set, once.

Left out: several machines; changing an experiment under way (give it another name); choosing how many seeds are enough.

Not guaranteed: exactly equal compute, as a run ends with the generation in which it passes `limits.compute` (the table
says by how much, and which cells fell short). That a final is made once holds as long as nobody deletes it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from arena.config.overrides import flat
from arena.config.schema import Config, load_config, make_config
from arena.config.shipped import CHECKOUT, ROOT
from arena.experiments.file import Cell, check_split, differing, load_experiment, make_cells
from arena.experiments.results import make_results, write_results
from arena.report.metrics.run_metrics import METRICS, FinishedRun
from arena.report.metrics.series import SERIES
from arena.run.store import Store

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
LOG_LINES = 5
__all__ = ["check_split", "run_experiment"]
Say = Callable[[str], None]


def run_experiment(
    path: str | Path,
    *,
    final: bool = False,
    processes: int | None = None,
    folder: str | Path = "experiments",
    say: Say = print,
) -> int:
    """Play the unfinished cells, then write results.json, table.md and the figures. Returns 0, or 1 if a cell failed.

    `processes` defaults to the number of cores divided by the threads of a cell. Raises ValueError, before anything is
    played, for a mistake in the file or a cell that was played with another config.
    """
    experiment = load_experiment(path)
    home = Path(folder) / (experiment.name + "-final" * final)
    if final and (home / "results.json").exists():
        date = json.loads((home / "results.json").read_text(encoding="utf-8"))["date"]
        raise ValueError(f"the final of {experiment.name} was made on {date}: {home / 'results.json'}; a claim has one")
    cells = make_cells(experiment, path, home, final)
    for cell in cells:
        check_stored(cell)
    threads = max(c.config.engine.threads for c in cells)
    if processes is None:
        processes = max(1, len(os.sched_getaffinity(0)) // threads)
    if processes < 1:
        raise ValueError(f"processes must be at least 1, got {processes}")
    waiting = [c for c in cells if not (c.folder / "cell.json").exists()]
    say(f"{home}: {len(cells)} cells, {len(cells) - len(waiting)} finished before, {processes} at a time")
    failed = play_cells(waiting, final, processes, say)
    if failed and final:
        say(f"no results: a final is reported whole, and {len(failed)} of {len(cells)} cells failed")
    else:
        records = [completed(c) for c in cells if c.name not in failed]
        results = make_results(experiment.model_dump(mode="json"), records, failed, final, commit())
        say(write_results(results, home))
    return 1 if failed else 0


# -- cells ----------------------------------------------------------------------------------------------------------


def check_stored(cell: Cell) -> None:
    """Raises ValueError, naming cell and keys, if the cell was begun, played or extended under another config."""
    known = list[Config]()
    if (cell.folder / "cell.json").exists():
        known.append(make_config(read_cell(cell)["config"], source=str(cell.folder / "cell.json")))
    if (cell.folder / "run.db").exists() and (own := cell.folder / "config.yaml").exists():
        known.append(load_config(own))  # which differs if somebody extended the run
    for stored in known:
        keys = differing(stored, cell.config)
        if not keys:
            continue
        now, then = flat(cell.config.model_dump(mode="json")), flat(stored.model_dump(mode="json"))
        what = "; ".join(f"{k} is {then.get(k)!r} there, {now.get(k)!r} in the file" for k in keys[:5])
        raise ValueError(
            f"cell {cell.name} was played under another config: {what}. "
            f"Give the experiment another name, or move {cell.folder} away"
        )


def read_cell(cell: Cell) -> dict[str, Any]:
    """The record of a finished cell. Raises ValueError if it is damaged."""
    path = cell.folder / "cell.json"
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if not isinstance(record, dict) or not all(isinstance(record.get(k), dict) for k in ("config", "metrics")):
        raise ValueError(f"{path} is damaged: it holds no cell")
    return record


def completed(cell: Cell) -> dict[str, Any]:
    """The record of a finished cell, with metrics and series that were added to the program since it was played.
    Without its run.db, these metrics are None."""
    record = read_cell(cell)
    series = record.setdefault("series", {})
    missing = [m for m in METRICS if m not in record["metrics"]] + [s for s in SERIES if s not in series]
    if missing and not (cell.folder / "run.db").exists():
        record["metrics"] |= {m: None for m in missing if m in METRICS}
        series |= {s: [] for s in missing if s in SERIES}
    elif missing:
        store = Store(cell.folder / "run.db")
        run = FinishedRun.read(store, cell.config.main_domain, cell.config.library)
        record["metrics"] |= {m: METRICS[m](run) for m in missing if m in METRICS and m not in record["metrics"]}
        series |= {s: SERIES[s](run) for s in missing if s in SERIES and s not in series}
        store.close()
    return record


def play_cells(cells: Sequence[Cell], final: bool, processes: int, say: Say) -> dict[str, str]:
    """Play cells, `processes` at a time. Returns the failed ones with the end of their logs. An interruption stops the
    processes."""
    waiting, failed = deque(cells), dict[str, str]()
    running: list[tuple[Cell, subprocess.Popen[bytes]]] = []
    started, done, played, whole = time.monotonic(), 0, 0.0, sum(map(length, cells))
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                running.append((waiting[0], start(waiting[0], final)))
                waiting.popleft()
            time.sleep(0.1)
            for cell, process in [(c, p) for c, p in running if p.poll() is not None]:
                running.remove((cell, process))
                done, played = done + 1, played + length(cell)
                left = (time.monotonic() - started) / played * (whole - played)
                state = "finished"
                if process.returncode or not (cell.folder / "cell.json").exists():
                    failed[cell.name] = last_lines(cell.folder / "cell.log", process.returncode)
                    state = f"FAILED ({failed[cell.name]})"
                say(f"{done}/{len(cells)} {cell.name} {state}, about {clock(left)} left")
    finally:
        for _, process in running:
            process.terminate()
        for _, process in running:
            process.wait()
        if running:
            say(f"stopped with {len(running) + len(waiting)} cells to play; run it again to continue")
    return failed


def length(cell: Cell) -> float:
    """How long a cell is, relative to others: its compute units, or its generations where these are not limited."""
    return float(cell.config.limits.compute or max(cell.config.generations, 1))


def last_lines(log: Path, code: int) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
    return "\n".join([f"exit code {code}, the end of {log}:", *lines])


def start(cell: Cell, final: bool) -> subprocess.Popen[bytes]:
    """Start a cell's process, its output appended to `cell.log`."""
    cell.folder.mkdir(parents=True, exist_ok=True)
    threads = str(cell.config.engine.threads)
    env = os.environ | dict.fromkeys(THREAD_VARIABLES, threads)
    if CHECKOUT:  # which need not be installed
        env["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    spec = {"arm": cell.arm, "seed": cell.seed, "final": final, "config": cell.config.model_dump(mode="json")}
    command = [sys.executable, "-m", "arena.experiments.cell", json.dumps(spec)]
    with open(cell.folder / "cell.log", "ab") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=env)


def commit() -> dict[str, Any] | None:
    """The commit of this program and whether its files differ from it; None outside git."""
    try:
        top, head, status = (
            subprocess.run(["git", "-C", str(ROOT), *a], capture_output=True, text=True, check=True).stdout.strip()
            for a in (["rev-parse", "--show-toplevel"], ["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"id": head, "dirty": bool(status)} if Path(top).resolve() == ROOT else None


def clock(seconds: float) -> str:
    """`1:02:03`, without hours where there are none."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"
