"""The entry point: `main` runs the command line and reports a user's mistake in one line.

Exit status: 0 finished, stopped as asked (by SIGTERM too) or at a limit; 1 a check found a fault; 2 a mistake that the
message names; 130 interrupted, 143 terminated within a phase (the run can be resumed).
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from arena.cli import analyze, configs, eval_play, experiment, export, library, models, play, tools
from arena.config.shipped import agents_conflict, program_version

LONGEST_LINE = 2000
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
app.command()(analyze.analyze)
app.command()(library.library)
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


def one_line(error: Exception) -> str:
    """An error's message as one line without control characters, whatever input the message repeats."""
    text = str(error) or type(error).__name__
    shown = "".join(c if c.isprintable() else " " for c in text[:LONGEST_LINE])
    return " ".join(shown.split()) + (" ..." if len(text) > LONGEST_LINE else "")


def at_home(word: str) -> str:
    """An option such as `--out=~/figures` with the home folder in place of `~`, which shells expand only at the start
    of a word."""
    option, equals, value = word.partition("=")
    return f"{option}={os.path.expanduser(value)}" if equals and option.startswith("--") else word


def main() -> None:
    """Run the command line; ValueError and OSError are printed to standard error as one line, without a traceback."""
    if conflict := agents_conflict():
        typer.echo(f"error: {conflict}", err=True)
        sys.exit(2)
    try:
        app(args=[at_home(word) for word in sys.argv[1:]])
    except (ValueError, OSError) as error:
        if os.environ.get("RATCHET_TRACEBACK"):
            raise
        typer.echo(f"error: {one_line(error)}", err=True)
        sys.exit(2)
