"""What all screens share: what they ask of the application, and tables that keep their cursor."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

from rich.text import Text
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import DataTable

from arena.watch.history import History, Snapshot
from arena.watch.records import Run
from arena.watch.writer import Writer


class Host(Protocol):
    """What a screen asks of the application."""

    history: History
    run_: Run
    writer: Writer

    def ask(self, group: str, read: Callable[[sqlite3.Connection], Any], then: Callable[[Any], None]) -> None: ...


class Pane(Vertical):
    """One screen. `show` is told of every change of the run or of the generation shown."""

    def show(self, snapshot: Snapshot) -> None:
        raise NotImplementedError

    def enter(self) -> None:
        """Take the keyboard."""
        self.query(".main").first(Widget).focus()

    @property
    def host(self) -> Host:
        return cast(Host, self.app)


def table(id_: str, *columns: str) -> DataTable[Text]:
    made: DataTable[Text] = DataTable(id=id_, classes="main", cursor_type="row", cell_padding=1)
    for name in columns:
        made.add_column(Text(name), key=name)
    return made


def fill(found: DataTable[Any], rows: Sequence[tuple[str, list[Text]]]) -> None:
    """Replace the rows, leaving the cursor on the row it was on if that is still there.

    Columns are as wide as their widest cell at once; left to itself the table finds that out after it was drawn.
    """
    at, place = found.cursor_row, None
    if found.row_count and 0 <= at < found.row_count:
        place = found.coordinate_to_cell_key(found.cursor_coordinate).row_key.value
    top = found.scroll_y
    found.clear()
    for i, column in enumerate(found.ordered_columns):
        column.width = max(column.label.cell_len, *(cells[i].cell_len for _, cells in rows), 0)
        column.auto_width = False
    for key, cells in rows:
        found.add_row(*cells, key=key)
    if any(key == place for key, _ in rows):
        found.move_cursor(row=found.get_row_index(str(place)), scroll=False)
        found.scroll_to(y=top, animate=False)
