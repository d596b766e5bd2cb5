"""The commands of the palette (ctrl+p): every key binding of the screens that has a help line.

Left out: the keys of lists and of the timeline, which are arrows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from textual.app import App, SystemCommand
from textual.binding import Binding
from textual.dom import DOMNode


def commands(app: App[Any], node: DOMNode, act: Callable[[str], Any], screen: str = "") -> Iterator[SystemCommand]:
    """One command per action of `node`, the application or one of its screens.

    Args:
        app: writes the names of the keys.
        node: its bindings are listed; those without a help line (`Binding.tooltip`) are left out.
        act: called with the action of the chosen command.
        screen: name of the screen, which begins the titles.
    """
    seen = set[str]()
    for binding in Binding.make_bindings(type(node).BINDINGS):
        if binding.tooltip and binding.description not in seen:
            seen.add(binding.description)
            title = f"{screen}: {binding.description}" if screen else binding.description
            key = app.get_key_display(binding)
            yield SystemCommand(title, f"{binding.tooltip} (key: {key})", partial(act, binding.action))
