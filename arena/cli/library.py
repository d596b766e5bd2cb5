"""The command `library`, which queries a run's library and its signed log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arena.cli.common import RunArg, open_to_read, reads_run


@reads_run
def library(
    folder: RunArg,
    action: Annotated[str, typer.Argument(help="search, show, tree, export, verify or proof.")],
    words: Annotated[
        list[str] | None, typer.Argument(help="Search words, or a post's name, title or id; see docs/library.md.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="For search: one kind of post, such as definition.")] = None,
    generation: Annotated[int | None, typer.Option(min=0, help="For search: posts up to this generation.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="For search: most posts. For tree: most lines in each direction.")
    ] = None,
    to: Annotated[Path | None, typer.Option(help="For export: file to write (default: library.md of the run).")] = None,
) -> None:
    """Search, show, export or verify a run's library."""
    from arena.export.library.cli import Asked
    from arena.export.library.cli import library as ask

    store, config = open_to_read(folder)
    raise typer.Exit(ask(action, Asked(folder, store, config, " ".join(words or ()), kind, generation, limit, to)))
