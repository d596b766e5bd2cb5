"""Input and output of a game: a terminal, or a pipe.

On a terminal, lines break between words. Texts of agents are printed as plain text: control characters are escaped, and
markup is not interpreted. Left out: editing of several lines.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from io import StringIO
from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from arena.text import visible

FENCE = "```"
"""A line with this text alone begins and ends a text of several lines."""
QUIT = ("quit", "exit")
LONGEST = 20_000
"""Maximum characters of one input; the rest is discarded."""


class Quit(Exception):
    """The person typed a word of `QUIT`, or the input ended."""


class Terminal:
    """Prints to `out` (default: standard output) and reads lines with `read`.

    `read` returns one line without its newline, and raises EOFError at the end of the input (default: `input`).
    """

    def __init__(self, read: Callable[[], str] | None = None, out: TextIO | None = None) -> None:
        self.console = Console(file=out, highlight=False)
        self._read = read or _line

    def say(self, text: str = "", style: str = "") -> None:
        """Print text without interpreting markup or control characters."""
        # a pipe gets whole lines
        self._print(Text(visible(text), style=style), soft_wrap=not self.console.is_terminal)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        table = Table(title=title, title_justify="left")
        for i, column in enumerate(columns):
            table.add_column(column, justify="right" if i else "left")
        for row in rows:
            table.add_row(*(Text(visible(cell)) for cell in row))
        self._print(table)

    def _print(self, what: RenderableType, **given: Any) -> None:
        """Print; after the terminal has vanished, print nothing. The next question then raises Quit."""
        try:
            self.console.print(what, **given)
            self.console.file.flush()
        except OSError:
            self.console = Console(file=StringIO(), highlight=False)

    def ask(self, mark: str = "> ") -> str:
        """Read one line, or the lines between two fences. Raises Quit when the person quits or the input ends."""
        line = self._line(mark)
        if line.strip() != FENCE:
            return line
        lines: list[str] = []
        while (line := self._line("… ", commands=False)).strip() != FENCE:
            lines.append(line)
        return "\n".join(lines)[:LONGEST]

    def _line(self, mark: str, commands: bool = True) -> str:
        self._print(Text(mark), end="")
        try:
            line = self._read()
        except (EOFError, OSError):  # the end of the input, or a terminal that vanished
            self.say()
            raise Quit from None
        if not self.console.is_terminal:
            self.say()  # a pipe does not echo the input, so end the prompt line here
        line = line.encode("utf-8", "replace").decode("utf-8")[:LONGEST]
        if commands and line.strip().lower() in QUIT:
            raise Quit
        return line


def _line() -> str:
    sys.stdout.flush()
    return input()
