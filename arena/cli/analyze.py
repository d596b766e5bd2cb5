"""Commands that report on finished or unfinished runs: `analyze` and `digest`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from arena.cli.common import JsonOption, RunArg, open_to_read, reads_run


@reads_run
def analyze(
    folders: Annotated[list[Path], typer.Argument(help="A run folder, or several to compare, the baseline's first.")],
    as_json: JsonOption = False,
    plots: Annotated[bool, typer.Option(help="Write report/index.html, its figures and their data.")] = True,
    out: Annotated[Path | None, typer.Option(help="Folder of a comparison (default: comparison).")] = None,
) -> None:
    """Report on a run, or compare several runs by config. Prints tables and writes a page."""
    if len(folders) > 1:
        _compare(folders, as_json, plots, out or Path("comparison"))
        return
    (folder,) = folders
    if out is not None:
        raise ValueError(f"--out is for a comparison of several runs; the report of one run is in {folder / 'report'}")
    from arena.report.metrics.run_summary import analyze as analyze_store

    store, config = open_to_read(folder)
    analysis = analyze_store(store, config)
    if as_json and not plots:
        typer.echo(json.dumps(analysis, indent=1))
        return
    from rich.console import Console

    from arena.report.source import Source
    from arena.report.terminal import print_report
    from arena.report.write import build_sections, write_report

    source = Source(folder, store, config, analysis)
    sections = build_sections(source, replay=plots)
    written = write_report(source, sections) if plots else []
    if as_json:
        typer.echo(json.dumps(analysis, indent=1))
        return
    print_report(Console(), source, sections)
    if written:
        typer.echo(f"wrote {written[0]} (open it in a browser) and {len(written) - 1} files of figures beside it")


@reads_run
def digest(folder: RunArg) -> None:
    """Print a hash of what a run stored: equal digests, same run. Telemetry, keys and signatures are left out."""
    store, _ = open_to_read(folder)
    typer.echo(store.digest())


def _compare(folders: list[Path], as_json: bool, page: bool, out: Path) -> None:
    from arena.report.comparison.compare import compare, distinct
    from arena.report.comparison.sections import sections
    from arena.report.metrics.run_summary import analyze as analyze_store
    from arena.report.source import Source
    from arena.report.terminal import print_sections

    distinct(folders)
    opened = [(folder, *open_to_read(folder)) for folder in folders]
    comparison = compare([Source(f, store, config, analyze_store(store, config)) for f, store, config in opened])
    made, written = sections(comparison), list[Path]()
    if page:
        from arena.report.comparison.write import write_comparison

        written = write_comparison(comparison, made, out)
    if as_json:
        typer.echo(json.dumps(comparison, indent=1))
        return
    from rich.console import Console

    print_sections(Console(), made)
    if written:
        typer.echo(f"wrote {written[0]} (open it in a browser) and {len(written) - 1} files beside it")
