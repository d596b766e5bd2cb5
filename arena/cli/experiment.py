"""The command `experiment`."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Annotated

import typer


def experiment(
    file: Annotated[Path, typer.Argument(help="An experiment file, or the name of a shipped one such as first_look.")],
    final: Annotated[
        bool, typer.Option("--final", help="Use the sealed test set and the final seeds; once per claim.")
    ] = False,
    processes: Annotated[int, typer.Option(min=1, help="Number of runs in parallel.")] = os.cpu_count() or 1,
    folder: Annotated[Path, typer.Option(help="Folder of the experiments.")] = Path("experiments"),
) -> None:
    """Compare arms over seeds at equal compute, with intervals."""
    from arena.experiments.runner import run_experiment

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    raise typer.Exit(run_experiment(file, final=final, processes=processes, folder=folder))


def _end(number: int, _: object) -> None:
    """End as after an interruption: the cells that are played are stopped."""
    raise SystemExit(128 + number)
