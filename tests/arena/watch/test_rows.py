"""The table widget that draws only visible lines, and the line of keys."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from rich.text import Text
from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType

from arena.watch.keys import Keys
from arena.watch.screens.rows import Rows

GROUP = Binding.Group("Screens", compact=True)


class RowsApp(App[None]):
    """A table over a line of keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "go(1)", "First", group=GROUP),
        Binding("2", "go(2)", "Second", group=GROUP),
        Binding("x", "go(3)", "Third"),
        Binding("y", "go(4)", "Hidden", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.chosen: list[str] = []
        self.highlighted: list[str] = []
        self.went: list[int] = []

    def compose(self) -> ComposeResult:
        yield Rows("n", "words", id="rows")
        yield Keys()

    @on(Rows.Selected, "#rows")
    def chose(self, event: Rows.Selected) -> None:
        self.chosen.append(event.key)

    @on(Rows.Highlighted, "#rows")
    def highlight(self, event: Rows.Highlighted) -> None:
        self.highlighted.append(event.key)

    def action_go(self, where: int) -> None:
        self.went.append(where)

    @property
    def rows(self) -> Rows:
        return self.query_one(Rows)

    @property
    def lines(self) -> list[str]:
        return ["".join(s.text for s in line).rstrip() for line in self.screen._compositor.render_strips()]


def show(play: Callable[[RowsApp, Any], Awaitable[None]], size: tuple[int, int] = (40, 8)) -> None:
    async def main() -> None:
        app = RowsApp()
        async with app.run_test(size=size) as pilot:
            app.rows.fill([(f"k{i}", [str(i), f"row {i}"]) for i in range(20)])
            app.rows.focus()
            await pilot.pause()
            await play(app, pilot)

    asyncio.run(main())


def test_keys_move_the_cursor() -> None:
    async def play(app: RowsApp, pilot: Any) -> None:
        assert [line[:12].rstrip() for line in app.lines[:3]] == ["  n   words", "> 0   row 0", "  1   row 1"]
        for key, row in (("up", 0), ("down", 1), ("pagedown", 7), ("pagedown", 13), ("pageup", 7), ("end", 19),
                         ("down", 19), ("home", 0)):  # fmt: skip
            await pilot.press(key)
            await pilot.pause()
            assert app.rows.cursor_row == row
            assert any(line.startswith(f"> {row:<2}  row {row}") for line in app.lines)
            assert app.lines[0].startswith("  n   words")
        await pilot.press("down", "enter")
        assert app.chosen == ["k1"] and app.highlighted[0] == "k0" and app.highlighted[-1] == "k1"

    show(play)


def test_click_moves_and_second_click_selects() -> None:
    async def play(app: RowsApp, pilot: Any) -> None:
        await pilot.click(Rows, offset=(3, 4))
        assert app.rows.key == "k3" and not app.chosen
        await pilot.click(Rows, offset=(3, 4))
        assert app.chosen == ["k3"]
        await pilot.click(Rows, offset=(3, 0))  # the headings
        assert app.chosen == ["k3"] and app.rows.key == "k3"

    show(play)


def test_cursor_keeps_its_row() -> None:
    async def play(app: RowsApp, pilot: Any) -> None:
        await pilot.press("end")
        app.rows.fill([("new", ["0", "new"])] + [(f"k{i}", [str(i), f"row {i}"]) for i in range(20)])
        await pilot.pause()
        assert app.rows.key == "k19" and app.rows.cursor_row == 20 and app.lines[6].startswith("> 19  row 19")
        app.rows.fill([("a", ["1", "a"])])
        await pilot.pause()
        assert app.rows.key == "a" and app.lines[1] == "> 1  a" and app.highlighted[-1] == "a"
        app.rows.fill([])
        await pilot.press("down", "end", "enter", "pageup")
        assert app.rows.key is None and app.rows.cursor_row == 0 and not app.chosen

    show(play)


def test_cut_lines_and_styled_wide_cells() -> None:
    async def play(app: RowsApp, pilot: Any) -> None:
        app.rows.fill([("a", ["1", "x" * 60]), ("b", [Text("\u4e2d\u6587", "bold"), "y"])], ["head", "w"])
        await pilot.pause()
        assert app.lines[:3] == ["  head  w", "> 1     " + "x" * 31 + "\u2026", "  \u4e2d\u6587  y"]

    show(play)


def test_key_line_groups_and_clicks() -> None:
    async def play(app: RowsApp, pilot: Any) -> None:
        found = "1 First 2 Second x Third"
        assert app.lines[-1].startswith(found) and "Hidden" not in app.lines[-1]
        await pilot.click(Keys, offset=(found.index("Second"), 0))
        await pilot.resize_terminal(22, 8)
        await pilot.pause()
        assert app.lines[-1].startswith("1 2 Screens x Third")
        await pilot.click(Keys, offset=(0, 0))
        await pilot.pause()
        assert app.went == [2, 1]

    show(play, (60, 8))
