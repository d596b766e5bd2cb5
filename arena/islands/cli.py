"""`run` and `resume` of a config with a cluster: workers, coordinator, and terminal output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from arena.config.schema import Config
from arena.config.shipped import typed_command
from arena.islands.coordinator import Head, drive
from arena.islands.extension import extend
from arena.islands.workers import InlineWorkers, Workers
from arena.run.lock import hold
from arena.run.reconfigure import note_changes, reconfigured, write_config
from arena.run.signals import GracefulStopIslands
from arena.run.state import make_domains, versions
from arena.run.store import Store
from arena.watch.live import Progress, summary
from arena.watch.sinks.listener import Sinks, both

Say = Callable[[str], None]


def begin(config: Config) -> Path:
    """The folder of a new run. Raises ValueError if it holds a run or the config cannot be played. Writes nothing."""
    folder = Path(config.run.folder) / config.run.name
    if (folder / "run.db").exists():
        raise ValueError(f"{folder} already holds a run: resume it, or give run.name another value")
    make_domains(config)
    versions(config)
    return folder


def reopen(folder: Path, overrides: Sequence[str]) -> Config:
    """The config of a run to resume; `overrides` of keys that may change (`arena.run.reconfigure`) are written into
    it."""
    stored, config = reconfigured(folder), reconfigured(folder, overrides)
    with hold(folder), closing(Store(folder / "run.db", upgrade=True)) as store:
        extend(folder, store, stored, config)
        if overrides:
            note_changes(store, stored, config)
            write_config(folder, config)
    return config


def make_workers(config: Config, say: Say) -> Workers:
    """The workers that the config names. Raises ValueError for a missing cluster or package."""
    if config.cluster.address == "inline":
        return InlineWorkers()
    from arena.islands.ray_workers import RayWorkers

    workers: Workers = RayWorkers(config, say)
    return workers


def play_islands(config: Config, folder: Path, quiet: bool, say: Say, warn: Say) -> None:
    """Play the run in `folder` to its end, or until it is stopped; `say` is told in lines what came of it. Raises
    KeyboardInterrupt and OSError as they come; nothing stored is lost by them."""
    from rich.console import Console

    from arena.report.metrics.run_summary import analyze

    console, resume_with = Console(), f"resume with: {typed_command('resume', folder)}"
    with Head(config, folder, make_workers(config, warn)) as head:
        progress = Progress(
            config, console, head.store, plain=quiet, compute=head.store.compute(), spent=lambda: head.budget().status()
        )
        with (
            progress,
            Sinks(head, lambda line: warn(f"note: {line}")) as sinks,
            GracefulStopIslands(head.leave) as leaving,
        ):
            head.listen = both(progress, sinks, lambda event, data: _tell(event, data, warn))
            ended = drive(head)
        if head.stopped:
            say(f"stopped: {head.stopped}; {resume_with} {head.budget().raised_limits()}")
        elif leaving.asked and not ended:
            say(f"stopped by SIGTERM, all finished phases are stored; {resume_with}")
        elif not ended:
            say(f"stopped, as asked; {resume_with}")
        else:
            for island, generation in sorted(head.union.lost().items()):
                say(f"note: island {island} was given up in generation {generation}; the run went on without it")
            summary(analyze(head.store, config), folder, console)


def _tell(event: str, data: dict[str, Any], warn: Say) -> None:
    if event == "island":
        state = {"lost": "is lost", "started": "is started again"}.get(data["state"], "is given up")
        warn(f"note: island {data['island']} {state}{': ' + data['why'] if data['why'] else ''}")


def plan(config: Config) -> list[str]:
    """Islands and exchanges, in lines for `--dry-run`; empty without a cluster."""
    c = config.cluster
    if not c.clustered:
        return []
    where = {"auto": "on the Ray cluster", "local": "on a Ray started here", "inline": "in this process, in turn"}
    of = f"{c.islands} of {config.population.agents} agents each, {where[c.address]}"
    lines = [f"islands: {of}; the figures above are of one island"]
    exchanges = [g for g in range(config.generations + 1) if c.exchanges(g, config.generations)]
    if not exchanges:
        return [*lines, "exchanges: none"]
    agents = c.agents if config.sleep.enabled else 0
    some = ", ".join(map(str, exchanges[:4])) + (", ..." if len(exchanges) > 4 else "")
    lines.append(f"exchanges: in generation {some}: up to {c.posts} posts from each source, foreign weights: {agents}")
    for i in range(min(c.islands, 8)):
        lines.append(f"island {i}: hears from {', '.join(map(str, c.sources(i)))}")
    return lines + ([f"and {c.islands - 8} more islands"] if c.islands > 8 else [])
