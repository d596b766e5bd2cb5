"""From the generation loop to the sinks: a listener of `arena.loop.play` that never ends a run.

A sink is third-party code that uses disks and networks, so its exceptions are caught here, and only here: a failure is
reported once, in a sentence, and the sink is turned off until the run is opened again.

Left out: a queue. A sink is called between phases, and a slow one makes the run wait.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from arena.config.schema import Config
from arena.phases.records import Listener
from arena.run.store import Store
from arena.watch.sinks.registry import load_sinks
from arena.watch.sinks.scalars import scalars, texts
from arena.watch.sinks.sink import Sink


def both(*listeners: Listener) -> Listener:
    """A listener that passes every event on, in this order."""

    def listen(event: str, data: dict[str, Any]) -> None:
        for listener in listeners:
            listener(event, data)

    return listen


class Run(Protocol):
    """The run whose figures are sent: an open arena, or the coordinator of several islands."""

    folder: Path
    config: Config
    store: Store


class Sinks:
    """The sinks of a run's config, as one listener; a context manager. `warn` gets a sentence if one fails."""

    def __init__(self, arena: Run, warn: Callable[[str], None]) -> None:
        self.arena, self.warn = arena, warn
        self.open: dict[str, Sink] = {}
        for name, kind in load_sinks(arena.config.sinks).items():
            self._guard(name, partial(self._open, name, kind))

    def _open(self, name: str, kind: Callable[[Path], Sink]) -> None:
        folder = self.arena.folder / name
        folder.mkdir(exist_ok=True)
        self.open[name] = kind(folder)

    def __call__(self, event: str, data: dict[str, Any]) -> None:
        if event != "done" or not self.open:
            return
        generation, values = data["generation"], scalars(self.arena.store, data)
        said = texts(data)
        if data["phase"] == "birth":
            said["config"] = self.arena.config.to_yaml()
        for name, sink in list(self.open.items()):
            self._guard(name, partial(_send, sink, generation, values, said))

    def _guard(self, name: str, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:
            self.open.pop(name, None)
            self.warn(f"the sink {name!r} failed and is turned off: {type(error).__name__}: {error}")

    def close(self) -> None:
        for name, sink in list(self.open.items()):
            self._guard(name, sink.close)
        self.open.clear()

    def __enter__(self) -> Sinks:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _send(sink: Sink, generation: int, values: dict[str, float], said: dict[str, str]) -> None:
    if values:
        sink.scalars(generation, values)
    for name, text in said.items():
        sink.text(generation, name, text)
