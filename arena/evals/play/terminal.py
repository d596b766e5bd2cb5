"""A person at a terminal, or at the end of a pipe: what is said to them, and what they type.

Texts of agents are shown as text: control characters are spelled out, and nothing in them is markup. Left out: editing
of more than one line at a time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from arena.text import visible

FENCE = "```"
"""On a line of its own it begins and ends a text of several lines."""
QUIT = ("quit", "exit")
LONGEST = 20_000
"""Characters of a text that is taken from a person."""


class Left(Exception):
    """The person said `quit`, or the input ended."""


class Terminal:
    """`read` gives one line without its end, and raises EOFError where there is none."""

    def __init__(self, read: Callable[[], str] | None = None, out: TextIO | None = None) -> None:
        self.console = Console(file=out, highlight=False)
        self._read = read or _line

    def say(self, text: str = "", style: str = "") -> None:
        """Lines of ours or of anyone's, as they are."""
        self.console.print(Text(visible(text), style=style), soft_wrap=True)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        table = Table(title=title, title_justify="left")
        for i, column in enumerate(columns):
            table.add_column(column, justify="right" if i else "left")
        for row in rows:
            table.add_row(*(Text(visible(cell)) for cell in row))
        self.console.print(table)

    def ask(self, mark: str = "> ") -> str:
        """What a person types: a line, or lines between two fences. Raises Left."""
        line = self._line(mark)
        if line.strip() != FENCE:
            return line
        lines: list[str] = []
        while (line := self._line("… ", commands=False)).strip() != FENCE:
            lines.append(line)
        return "\n".join(lines)[:LONGEST]

    def _line(self, mark: str, commands: bool = True) -> str:
        self.console.print(Text(mark), end="")
        try:
            line = self._read()
        except EOFError:
            self.say()
            raise Left from None
        if not self.console.is_terminal:
            self.say()  # what was typed is not on the screen, so neither is the end of its line
        line = line.encode("utf-8", "replace").decode("utf-8")[:LONGEST]
        if commands and line.strip().lower() in QUIT:
            raise Left
        return line


def _line() -> str:
    sys.stdout.flush()
    return input()
