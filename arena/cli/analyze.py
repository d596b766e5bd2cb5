"""Commands that report on finished or unfinished runs: `analyze` and `digest`."""

from __future__ import annotations

import errno
import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arena.cli.common import JsonOption, RunArg, end_with, open_to_read, reads_run

if TYPE_CHECKING:
    from arena.report.source import Source
    from arena.run.faults import Faults

OutOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder to write (default: report in the run's folder, comparison for several runs). With it, nothing is "
        "written into the runs."
    ),
]


@reads_run
def analyze(
    folders: Annotated[list[Path], typer.Argument(help="A run folder, or several to compare, the baseline's first.")],
    as_json: JsonOption = False,
    plots: Annotated[bool, typer.Option(help="Write report/index.html, its figures and their data.")] = True,
    out: OutOption = None,
) -> None:
    """Report on a run, or compare several runs by config. Prints tables and writes a page."""
    from arena.run.faults import Faults

    faults = Faults(collect=True)
    if out is not None and (out / "run.db").exists():
        raise ValueError(f"{out} is a run: give --out another folder")
    with ExitStack() as opened:
        if len(folders) > 1:
            from arena.report.comparison.compare import distinct

            distinct(folders)
            sources = [_source(folder, None, faults, opened) for folder in folders]
            _compare(sources, as_json, plots, out or Path("comparison"), faults)
        else:
            _report(_source(folders[0], out, faults, opened), as_json, plots)
    end_with(faults, "analyze", folders)


@reads_run
def digest(folder: RunArg) -> None:
    """Print a hash of what a run stored: equal digests, same run. Telemetry, keys and signatures are left out."""
    store, _ = open_to_read(folder)
    typer.echo(store.digest())


def _report(source: Source, as_json: bool, plots: bool) -> None:
    if as_json and not plots:
        typer.echo(json.dumps(source.analysis, indent=1))
        return
    from rich.console import Console

    from arena.report.terminal import print_report
    from arena.report.write import build_sections, write_report

    sections = build_sections(source, replay=plots)
    try:
        written = write_report(source, sections) if plots else []
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            where = f"cannot write the report into {source.report} ({error.strerror})"
            raise OSError(f"{where}: --out FOLDER writes it elsewhere") from None
        raise
    if as_json:
        typer.echo(json.dumps(source.analysis, indent=1))
        return
    print_report(Console(), source, sections)
    if written:
        typer.echo(f"wrote {written[0]} (open it in a browser) and {len(written) - 1} files of figures beside it")


def _compare(sources: list[Source], as_json: bool, page: bool, out: Path, faults: Faults) -> None:
    from arena.report.comparison.compare import compare
    from arena.report.comparison.sections import sections
    from arena.report.terminal import print_sections

    comparison = compare(sources)
    made, written = sections(comparison, faults), list[Path]()
    if page:
        from arena.report.comparison.write import write_comparison

        written = write_comparison(comparison, made, out, faults)
    if as_json:
        typer.echo(json.dumps(comparison, indent=1))
        return
    from rich.console import Console

    print_sections(Console(), made)
    if written:
        typer.echo(f"wrote {written[0]} (open it in a browser) and {len(written) - 1} files beside it")


def _source(folder: Path, out: Path | None, faults: Faults, opened: ExitStack) -> Source:
    from arena.report.metrics.run_summary import analyze as analyze_store
    from arena.report.source import Source

    store, config = open_to_read(folder)
    opened.callback(store.close)
    return Source(folder, store, config, analyze_store(store, config), out, faults)
