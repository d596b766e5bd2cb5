"""The entry point: `main` runs the command line and reports a user's mistake in one line.

Exit status: 0 finished, stopped as asked (by SIGTERM too) or at a limit; 1 a check found a fault; 2 a mistake that the
message names, damage of a run among them; 70 a fault of the program (the rest of a report is written all the same);
130 interrupted, 143 terminated within a phase (the run can be resumed).
"""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

from arena.cli import analyze, configs, eval_play, experiment, export, library, models, play, review, tools
from arena.cli.common import one_line
from arena.config.shipped import agents_conflict, program_version
from arena.run import faults

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ratchet {program_version()}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Ratchet: self-play and culture in populations of language-model agents."""


app.command()(play.run)
app.command()(play.resume)
app.command()(play.watch)
app.command()(play.control)
app.command()(review.review)
app.command()(analyze.analyze)
app.command()(library.library)
app.command("verify-proof")(library.verify_proof)
app.command("eval")(eval_play.evaluate)
app.command("play")(eval_play.play_seat)
app.command()(export.export)
app.command("export-domain")(export.export_domain)
app.command()(experiment.experiment)
app.command()(configs.configs)
app.command("config-help")(configs.config_help)
app.command()(analyze.digest)
app.command("get-model")(models.get_model)
app.command()(tools.doctor)
app.command()(tools.bench)
app.command()(tools.chaos)
app.command("make-seed")(tools.make_seed)


def at_home(word: str) -> str:
    """An option such as `--out=~/figures` with the home folder in place of `~`, which shells expand only at the start
    of a word."""
    option, equals, value = word.partition("=")
    return f"{option}={os.path.expanduser(value)}" if equals and option.startswith("--") else word


def main() -> None:
    """Run the command line. Every error is printed to standard error in one or two lines, without a traceback unless
    the environment variable RATCHET_TRACEBACK is set."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # letters that a terminal's encoding lacks are replaced
            stream.reconfigure(errors="replace")
    if conflict := agents_conflict():
        typer.echo(f"error: {conflict}", err=True)
        sys.exit(2)
    words = [at_home(word) for word in sys.argv[1:]]
    try:
        app(args=words)
    except Exception as error:
        if faults.wants_traceback():
            raise
        sys.exit(report(error, next(iter(words), "ratchet")))


def report(error: Exception, command: str) -> int:
    """Print an error that ended a command; returns the exit status."""
    if faults.is_for_user(error):
        typer.echo(f"error: {one_line(error)}", err=True)
        return 2
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, without its import
        typer.echo(f"error: not enough memory: {one_line(error)}", err=True)
        return 2
    for line in faults.lines([(command, error)]):
        typer.echo(one_line(line), err=True)
    return faults.STATUS
