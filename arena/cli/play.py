"""Commands that play a run or act on one that is being played: `run`, `resume`, `watch`, `control`."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from arena.cli.common import RunArg, open_to_read, reads_run
from arena.cli.models import provide
from arena.config.shipped import typed_command

if TYPE_CHECKING:
    from arena.config.schema import Config
    from arena.run.state import Arena

ConfigArg = Annotated[Path, typer.Argument(help="A config file, or the name of a shipped config such as quickstart.")]
OverridesArg = Annotated[list[str] | None, typer.Argument(help="Overrides such as seed=1 run.name=mine.")]
WatchOption = Annotated[bool, typer.Option("--watch", help="Play in a separate process and open the live view.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print plain lines instead of a live display.")]


def run(
    config: ConfigArg,
    overrides: OverridesArg = None,
    quiet: QuietOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved config and estimates only.")] = False,
    watch: WatchOption = False,
    explain: Annotated[bool, typer.Option("--explain", help="With --dry-run: explain each key in comments.")] = False,
    get_model: Annotated[
        bool, typer.Option("--get-model", help="Fetch the model first if it is one of `get-model` and missing.")
    ] = False,
) -> None:
    """Start a run from a config and play it to its end."""
    from arena.config.schema import load_config, notices
    from arena.experiments.runner import check_split

    loaded = load_config(config, overrides or [])
    check_split(loaded)
    if explain and not dry_run:
        raise ValueError("--explain goes with --dry-run")
    provide(loaded, get_model)
    if dry_run:
        _dry_run(loaded, explain)
        return
    if watch:
        folder = Path(loaded.run.folder) / loaded.run.name
        if (folder / "run.db").exists():
            raise ValueError(f"{folder} already holds a run: resume it, or set another run.name")
        _launch(["run", str(config), *(overrides or [])], folder)
    from arena.run.state import Arena
    from arena.watch.sinks.registry import load_sinks

    load_sinks(loaded.sinks)  # reports a missing package before a folder is made
    if loaded.cluster.clustered:
        from arena.islands.cli import begin

        new = begin(loaded)
        for line in notices(loaded):
            typer.echo(f"note: {line}")
        _play_islands(loaded, new, quiet)
        return
    arena = Arena.create(loaded)
    for line in notices(loaded):
        typer.echo(f"note: {line}")
    for line in arena.forewarnings():
        typer.echo(f"warning: {line}", err=True)
    _play(arena, quiet)


@reads_run
def resume(
    folder: RunArg,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="Overrides such as generations=60 or limits.money=10; see docs/configs.md for which keys."),
    ] = None,
    quiet: QuietOption = False,
    watch: WatchOption = False,
) -> None:
    """Continue a run after its last finished phase, or extend one that has ended."""
    from arena.run.reconfigure import reconfigured

    if watch:
        open_to_read(folder)[0].close()
        reconfigured(folder, overrides or [])
        _launch(["resume", str(folder), *(overrides or [])], folder)
    from arena.experiments.runner import check_split
    from arena.run.state import Arena

    if (folder / "run.db").is_file() and reconfigured(folder, overrides or []).cluster.clustered:
        from arena.islands.cli import reopen

        config = reopen(folder, overrides or [])
        check_split(config)
        _play_islands(config, folder, quiet)
        return
    arena = Arena.open(folder, overrides or [])
    check_split(arena.config)
    _play(arena, quiet)


@reads_run
def watch(folder: RunArg) -> None:
    """Look into a run on the terminal, during or after play. Changes nothing."""
    from arena.watch.queries import open_run
    from arena.watch.terminal import check_terminal

    open_run(folder)  # what is wrong with the folder comes before the terminal
    check_terminal("watch", typed_command("analyze", folder))
    from arena.watch.app import watch as watch_run

    watch_run(folder)


@reads_run
def control(
    folder: RunArg,
    command: Annotated[str, typer.Argument(help="pause (after this phase), resume, or stop (after this generation).")],
) -> None:
    """Pause, resume or stop a run that is being played."""
    from arena.watch.commands import RunControl
    from arena.watch.queries import Busy, open_run

    try:
        typer.echo(f"{folder}: {RunControl(open_run(folder)).command(command)}")
    except Busy as busy:
        raise OSError(f"{busy}; try again") from None


def _dry_run(config: Config, explain: bool) -> None:
    from arena.config.reference import explained_yaml
    from arena.config.schema import notices
    from arena.islands.cli import plan
    from arena.run.estimate import estimate

    typer.echo(explained_yaml(config) if explain else config.to_yaml())
    for line in notices(config):
        typer.echo(f"# note: {line}")
    for line in [*estimate(config), *plan(config)]:
        typer.echo(f"# {line}")


def _play(arena: Arena, quiet: bool) -> None:
    from rich.console import Console

    from arena.loop import play
    from arena.report.metrics.run_summary import analyze as analyze_store
    from arena.run.signals import CUT_SHORT, GracefulStop, Interrupted, Stopped
    from arena.watch.live import Progress, summary
    from arena.watch.sinks.listener import Sinks, both

    console, resume_with = Console(), f"resume with: {typed_command('resume', arena.folder)}"
    with arena:
        spent, folder = arena.budget.status, arena.folder
        progress = Progress(
            arena.config, console, arena.store, quiet, compute=arena.store.compute(), spent=spent, folder=folder
        )
        try:
            with (
                progress,
                Sinks(arena, lambda line: typer.echo(f"note: {line}", err=True)) as sinks,
                GracefulStop() as leaving,
            ):
                ended = play(arena, both(progress, sinks, leaving))
        except Stopped:
            typer.echo(f"stopped by SIGTERM, all finished phases are stored; {resume_with}")
            return
        except KeyboardInterrupt as stopped:
            cut = isinstance(stopped, Interrupted)
            why = " by SIGTERM within a phase, which will be played again" if cut else ""
            typer.echo(f"stopped{why}; {resume_with}", err=True)
            raise typer.Exit(CUT_SHORT if cut else 130) from None
        except (OSError, sqlite3.DatabaseError) as error:
            raise OSError(f"{error}; nothing stored is lost, {resume_with}") from None
        if arena.budget.stopped:
            typer.echo(f"stopped: {arena.budget.stopped}; {resume_with} {arena.budget.raised_limits()}")
            return
        if not ended:
            typer.echo(f"stopped, as asked; {resume_with}")
            return
        summary(analyze_store(arena.store, arena.config), arena.folder, console)


def _play_islands(config: Config, folder: Path, quiet: bool) -> None:
    from arena.islands.cli import play_islands
    from arena.run.signals import CUT_SHORT, Interrupted

    resume_with = f"resume with: {typed_command('resume', folder)}"
    try:
        play_islands(config, folder, quiet, typer.echo, lambda line: typer.echo(line, err=True))
    except KeyboardInterrupt as stopped:
        cut = isinstance(stopped, Interrupted)
        within = " by SIGTERM within a generation, which resumes after its last finished phase" if cut else ""
        typer.echo(f"stopped{within}; {resume_with}", err=True)
        raise typer.Exit(CUT_SHORT if cut else 130) from None
    except OSError as error:
        raise OSError(f"{error}; nothing stored is lost, {resume_with}") from None


def _launch(command: list[str], folder: Path) -> NoReturn:
    """Play in a separate process, watch it from here, and exit with its status."""
    from arena.watch.app import watch as watch_run
    from arena.watch.launch import launch
    from arena.watch.terminal import check_terminal

    check_terminal("--watch", "the same command without --watch")
    raise typer.Exit(launch(command, folder, watch_run, sys.stdout, sys.stderr))
