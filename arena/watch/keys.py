"""The last line of the screen: the active keys and their actions. Clicking one presses it.

One widget that draws one line. Textual's own Footer builds a widget for every key whenever a binding changes, which
here takes longer than drawing the screens. If the names do not fit, the keys of a group share the group's name: those
of the first group, then those of the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from rich.text import Text
from textual import events
from textual.binding import Binding
from textual.widget import Widget


class Keys(Widget):
    DEFAULT_CSS = """
    Keys { dock: bottom; height: 1; color: $footer-foreground; background: $footer-background; text-wrap: nowrap; }
    """

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self.changed)

    def on_unmount(self) -> None:
        self.screen.bindings_updated_signal.unsubscribe(self)

    def changed(self, _: Any) -> None:
        self.refresh()

    def shown(self) -> list[Binding]:
        """The enabled bindings with `show`, one per action."""
        found: dict[str, Binding] = {}
        for active in self.screen.active_bindings.values():
            if active.binding.show and active.enabled:
                found.setdefault(active.binding.action, active.binding)
        return list(found.values())

    def parts(self) -> list[tuple[Text, str]]:
        """The texts to draw, in order, each with the key that a click on it presses."""
        groups = [g for g in dict.fromkeys(b.group for b in self.shown()) if g is not None]
        for folded in range(len(groups) + 1):
            parts = self.folded(groups[:folded])
            if sum(text.cell_len + 1 for text, _ in parts) - 1 <= self.size.width:
                break
        return parts

    def folded(self, groups: Sequence[Binding.Group]) -> list[tuple[Text, str]]:
        """The texts, where the keys of these groups share the group's name."""
        parts: list[tuple[Text, str]] = []
        for group, members in groupby(self.shown(), key=lambda b: b.group):
            bindings = list(members)
            if group not in groups or group is None or len(bindings) < 2:
                parts += [(self.named(b), b.key) for b in bindings]
                continue
            parts += [(Text(self.app.get_key_display(b), "bold"), b.key) for b in bindings]
            parts[-1][0].append(f" {group.description.strip()}", "not bold")
        return parts

    def named(self, binding: Binding) -> Text:
        return Text(self.app.get_key_display(binding), "bold").append(f" {binding.description}", "not bold")

    def render(self) -> Text:
        return Text(" ", no_wrap=True, overflow="ellipsis").join(text for text, _ in self.parts())

    def on_click(self, event: events.Click) -> None:
        begin = 0
        for text, key in self.parts():
            if begin <= event.x < begin + text.cell_len:
                self.app.simulate_key(key)
            begin += text.cell_len + 1
