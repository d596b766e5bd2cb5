"""Commands that write data for other programs: `export` and `export-domain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arena.cli.common import RunArg, open_to_read, reads_run


@reads_run
def export(
    folder: RunArg,
    to: Annotated[Path | None, typer.Option(help="Folder to write (default: export in the run folder).")] = None,
    only: Annotated[str, typer.Option(help="Some of traces,tables,adapters,library,card (default: all).")] = "",
    adapters: Annotated[str, typer.Option(help="Generations of the adapters: latest, all, or a number.")] = "latest",
) -> None:
    """Write a run's data for use elsewhere. Traces, tables, adapters and library, with a dataset card."""
    from arena.export.export import export_run, parts_of
    from arena.export.progress import Bars, summary

    parts, target = parts_of(only), to or folder / "export"
    store, config = open_to_read(folder)
    with Bars() as bars:
        manifest = export_run(store, config, folder, target, parts, adapters, bars)
    for line in summary(manifest):
        typer.echo(line)
    typer.echo(f"wrote {target}")


def export_domain(
    name: Annotated[str, typer.Argument(help="A domain, such as list_programs.")],
    to: Annotated[Path, typer.Option(help="Folder to write.")],
    n: Annotated[int, typer.Option("--n", min=1, max=1_000_000, help="Number of training problems.")] = 500,
    options: Annotated[list[str] | None, typer.Option(help="An option of the domain, such as world=3.")] = None,
) -> None:
    """Write a domain as a dataset and a verifiers environment. The sealed test set is left out."""
    from arena.export.domain.write import export_domain as write
    from arena.export.domain.write import read_options

    for line in write(name, read_options(options or []), to, n):
        typer.echo(line)
