"""What the commands share: common arguments, and opening a run to read.

Modules of the arena are imported inside the commands: `--help` and a mistyped option cost no import of torch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arena.run import faults

if TYPE_CHECKING:
    from arena.config.schema import Config
    from arena.run.faults import Faults
    from arena.run.store import Store

LONGEST_LINE = 2000
RunArg = Annotated[Path, typer.Argument(help="A run folder, such as runs/quickstart.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def reads_run(command: Callable[..., None]) -> Callable[..., None]:
    """Decorate a command that reads run folders: if a damaged run causes an error, the damage is named."""

    @functools.wraps(command)
    def guarded(**given: Any) -> None:
        from arena.run.integrity import explained

        with explained(given.get("folders") or [given["folder"]]):
            command(**given)

    return guarded


def end_with(found: Faults, command: str, folders: Sequence[Path]) -> None:
    """End a command that has made everything else. Without faults, do nothing; otherwise raise the damage of the runs
    that is their cause, or print them and exit with the status of a fault."""
    if not found.found:
        return
    from arena.run.integrity import cause

    for _, error in found.found:
        if (why := cause(error, folders)) is not error:
            raise why from error
    mine = [(f"{command}: {what}", error) for what, error in found.found if not faults.is_for_user(error)]
    for what, error in found.found:
        if faults.is_for_user(error):
            typer.echo(f"error: {command}: {what}: {one_line(error)}", err=True)
    for line in faults.lines(mine) if mine else ():
        typer.echo(one_line(line), err=True)
    raise typer.Exit(faults.STATUS if mine else 2)


def one_line(error: Exception | str) -> str:
    """An error's message as one line without control characters, whatever input the message repeats."""
    text = str(error) or type(error).__name__
    shown = "".join(c if c.isprintable() else " " for c in text[:LONGEST_LINE])
    return " ".join(shown.split()) + (" ..." if len(text) > LONGEST_LINE else "")


def open_to_read(folder: Path) -> tuple[Store, Config]:
    """The store and the config of a run folder. Raises ValueError if there is no run, naming the nearest folder."""
    from arena.config.schema import load_config, nearest
    from arena.run.paths import check_folder, no_run
    from arena.run.store import Store

    if not folder.is_dir():
        near = nearest(folder.name, [p.name for p in folder.parent.glob("*") if p.is_dir()])
        raise ValueError(f"no run folder at {folder}{near}")
    if not (folder / "run.db").exists():
        raise ValueError(no_run(folder))
    check_folder(folder)
    return Store(folder / "run.db"), load_config(folder / "config.yaml")
