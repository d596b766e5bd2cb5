"""A table that draws only its visible lines, so that its cost does not grow with the number of rows.

Left out: cell cursors, sorting, cells that wrap. The row of the cursor begins with `>`, which shows without colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

MARK = 2
"""Width of the cursor mark before the first column."""
GAP = 2
"""Spaces between columns."""


Cell = str | Text
"""A plain string is cheaper: it is not rendered until its line is visible."""


class RowMessage(Message):
    """A message about one row, identified by its key."""

    def __init__(self, rows: Rows, key: str) -> None:
        super().__init__()
        self.rows, self.key = rows, key

    @property
    def control(self) -> Rows:
        return self.rows


class Rows(ScrollView, can_focus=True):
    """Rows of cells under fixed headings. Each row has a key; the cursor stays on its key when the rows change."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"rows--head", "rows--cursor"}
    DEFAULT_CSS = """
    Rows { height: 1fr; overflow-x: hidden; }
    Rows > .rows--head { text-style: bold; background: $panel; color: $foreground; }
    Rows > .rows--cursor { background: $surface-lighten-1; }
    Rows:focus > .rows--cursor { background: $primary; color: $text; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Up", show=False),
        Binding("down", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,ctrl+home", "move_to(0)", "First", show=False),
        Binding("end,ctrl+end", "move_to(-1)", "Last", show=False),
        Binding("enter", "choose", "Open", show=False),
    ]
    cursor_row: reactive[int] = reactive(0)

    class Selected(RowMessage):
        """Enter was pressed on a row, or the row under the cursor was clicked."""

    class Highlighted(RowMessage):
        """The cursor moved to another row, or the rows were replaced."""

    def __init__(self, *heads: str, id: str, classes: str = "main") -> None:
        super().__init__(id=id, classes=classes)
        self.heads: tuple[str, ...] = heads
        self.keys: list[str] = []
        self.cells: list[Sequence[Cell]] = []
        self.widths = [len(head) for head in heads]

    @property
    def row_count(self) -> int:
        return len(self.keys)

    @property
    def key(self) -> str | None:
        """The key of the row under the cursor."""
        return self.keys[self.cursor_row] if self.keys else None

    def fill(self, rows: Sequence[tuple[str, Sequence[Cell]]], heads: Sequence[str] | None = None) -> None:
        """Replace the rows, and the headings if given. The cursor stays on its key, or moves to the first row."""
        before = self.key
        self.heads = tuple(heads) if heads is not None else self.heads
        self.keys, self.cells = [key for key, _ in rows], [cells for _, cells in rows]
        self.widths = [max([len(head), *(length(c[i]) for c in self.cells)]) for i, head in enumerate(self.heads)]
        self.virtual_size = Size(self.size.width, len(rows) + 1)
        self.cursor_row = self.keys.index(before) if before in self.keys else 0
        self.show_cursor()
        self.refresh()
        if self.key is not None and self.key != before:
            self.post_message(self.Highlighted(self, self.key))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self.keys) + 1

    # -- drawing -------------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        width, style = self.size.width, self.rich_style
        if y == 0:
            head = self.get_component_rich_style("rows--head")
            return self.line(self.heads).adjust_cell_length(width).apply_style(head)
        row = y - 1 + self.scroll_offset.y
        if row >= len(self.cells):
            return Strip.blank(width, style)
        at = row == self.cursor_row
        line = self.line(self.cells[row], ">" if at else "")
        if cell_len(line.text.rstrip()) > width:
            line = Strip([*line.crop(0, width - 1), Segment("\N{HORIZONTAL ELLIPSIS}")])
        line = line.adjust_cell_length(width)
        return line.apply_style(style + self.get_component_rich_style("rows--cursor") if at else style)

    def line(self, cells: Sequence[Cell], mark: str = "") -> Strip:
        segments = [Segment(f"{mark:<{MARK}}")]
        for cell, width in zip(cells, self.widths, strict=True):
            segments += [Segment(cell)] if isinstance(cell, str) else cell.render(self.app.console, end="")
            segments.append(Segment(" " * (width - length(cell) + GAP)))
        return Strip(segments)

    # -- moving --------------------------------------------------------------------------------------------------

    def move_cursor(self, row: int) -> None:
        """Move the cursor to a row; an index out of range is clipped."""
        row = min(max(row, 0), max(len(self.keys) - 1, 0))
        if row != self.cursor_row and self.keys:
            self.cursor_row = row
            self.post_message(self.Highlighted(self, self.keys[row]))
        self.show_cursor()

    def show_cursor(self) -> None:
        """Scroll so that the row under the cursor is visible below the headings."""
        top, room = self.scroll_offset.y, max(self.size.height - 1, 1)
        if not top <= self.cursor_row < top + room:
            self.scroll_to(y=self.cursor_row if self.cursor_row < top else self.cursor_row - room + 1, animate=False)

    def on_resize(self, event: events.Resize) -> None:
        self.virtual_size = Size(event.size.width, len(self.keys) + 1)
        self.show_cursor()

    def action_move(self, by: int) -> None:
        self.move_cursor(self.cursor_row + by)

    def action_page(self, by: int) -> None:
        self.move_cursor(self.cursor_row + by * max(self.size.height - 1, 1))

    def action_move_to(self, row: int) -> None:
        self.move_cursor(row if row >= 0 else len(self.keys) - 1)

    def action_choose(self) -> None:
        if self.key is not None:
            self.post_message(self.Selected(self, self.key))

    def on_click(self, event: events.Click) -> None:
        row = event.y - 1 + self.scroll_offset.y
        if event.y and row < len(self.keys):
            if row == self.cursor_row:
                self.action_choose()
            else:
                self.move_cursor(row)


def length(cell: Cell) -> int:
    """Width in columns of the terminal."""
    return cell_len(cell) if isinstance(cell, str) else cell.cell_len
