"""What the commands share: common arguments, and opening a run to read.

Modules of the arena are imported inside the commands: `--help` and a mistyped option cost no import of torch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from arena.config.schema import Config
    from arena.run.store import Store

RunArg = Annotated[Path, typer.Argument(help="A run folder, such as runs/quickstart.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def reads_run(command: Callable[..., None]) -> Callable[..., None]:
    """Decorate a command that reads run folders: an error that a damaged run causes is reported in one line."""

    @functools.wraps(command)
    def guarded(**given: Any) -> None:
        from arena.run.integrity import explained

        with explained(given.get("folders") or [given["folder"]], playing=command.__name__ == "resume"):
            command(**given)

    return guarded


def open_to_read(folder: Path) -> tuple[Store, Config]:
    """The store and the config of a run folder. Raises ValueError if there is no run, naming the nearest folder."""
    from arena.config.schema import load_config, nearest
    from arena.run.paths import check_folder
    from arena.run.store import Store

    if not folder.is_dir():
        near = nearest(folder.name, [p.name for p in folder.parent.glob("*") if p.is_dir()])
        raise ValueError(f"no run folder at {folder}{near}")
    check_folder(folder)
    return Store(folder / "run.db"), load_config(folder / "config.yaml")
