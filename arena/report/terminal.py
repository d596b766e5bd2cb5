"""Sections of a report on a terminal: their sentences and tables, readable from 80 columns on.

Text that agents wrote is shown as it is, never as markup. Left out: figures, which the page shows.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from arena.report.figures.figure import Section, Table
from arena.report.metrics.run_summary import alarm_lines
from arena.report.source import Source

NARROWEST = 12
"""Columns that a column of words keeps beside columns of numbers that do not wrap."""


def print_report(console: Console, source: Source, sections: Sequence[Section]) -> None:
    """Print what the report page of one run says."""
    a = source.analysis
    console.print(Text(f"Run {a['run']}, seed {a['seed']}", style="bold"))
    print_warnings(console, alarm_lines(a))
    print_sections(console, sections)


def print_warnings(console: Console, warnings: Sequence[str]) -> None:
    for warning in warnings:
        console.print(Text(f"! {warning}", style="yellow"))


def print_sections(console: Console, sections: Sequence[Section]) -> None:
    """Print the sentences and tables of each section that has any."""
    for section in sections:
        if not (section.findings or section.tables or section.missing):
            continue
        console.print(Text(f"\n{section.title}", style="bold"))
        for line in (*section.findings, *section.missing):
            console.print(Text(f"- {line}"))
        for table in section.tables:
            print_table(console, table)


def print_table(console: Console, table: Table, title: str = "") -> None:
    """Print a table with `title` above it, or its caption below it. Numbers wrap only where they cannot fit."""
    numbers = [
        max(map(len, column)) for column in zip(table.columns, *table.rows, strict=True) if column[0] in table.right
    ]
    room = console.width - NARROWEST * (len(table.columns) - len(numbers)) - sum(numbers)
    shown = new_table(title)
    shown.collapse_padding = room < 3 * len(numbers)
    if not title:
        shown.caption = Text(table.caption)
    for name in table.columns:
        right = name in table.right
        keep = right and room >= 2 * len(numbers) - 1
        shown.add_column(Text(name), justify="right" if right else "left", no_wrap=keep, overflow="fold")
    for row in table.rows:
        shown.add_row(*(Text(cell) for cell in row))
    console.print(shown)


def new_table(title: str, *columns: str) -> RichTable:
    """A table of right-aligned columns under a left-aligned title."""
    table = RichTable(title=title or None, box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.title_justify = table.caption_justify = "left"
    table.title_style, table.caption_style = "bold", "dim"
    for name in columns:
        table.add_column(name, justify="right")
    return table
