"""Writes what was asked at the desk, one after another and off the screen's thread.

A change that finds the database locked or gone is kept and tried again until it is written; one that is refused is
said. When the watcher closes, what is left is tried once more. Left out: what is written (`arena.watch.commands`).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from arena.watch.commands import Desk
from arena.watch.queries.base import Busy, safe

Change = Callable[[Desk], Any]
KEPT = "what was asked is kept, and written as soon as it can be"
AGAIN = 0.5
"""Seconds between two tries."""


class Writer:
    """`start` runs a function in a thread, `say` shows a line (an empty one takes it back), `tell` calls a function in
    the screen's thread."""

    def __init__(
        self,
        desk: Desk,
        start: Callable[[Callable[[], None]], None],
        say: Callable[[str], None],
        tell: Callable[[Callable[[Any], None], Any], None],
        closing: threading.Event,
    ) -> None:
        self.desk, self.start, self.say, self.tell, self.closing = desk, start, say, tell, closing
        self.changes: deque[tuple[Change, Callable[[Any], None], Callable[[Any], None]]] = deque()
        self.lock, self.working = threading.Lock(), False

    def put(self, change: Change, then: Callable[[Any], None], refused: Callable[[Any], None] = lambda _: None) -> None:
        """`then` is told what the change gave; `refused` is called if it cannot be made."""
        with self.lock:
            self.changes.append((change, then, refused))
            begin, self.working = not self.working, True
        if begin:
            self.start(self._work)

    def _work(self) -> None:
        trouble = False
        while True:
            with self.lock:
                if not self.changes:
                    self.working = False
                    return
                change, then, refused = self.changes[0]
            try:
                result = change(self.desk)
            except Busy as error:
                if self.closing.is_set():
                    return
                trouble = True
                self.say(f"{safe(str(error))}; {KEPT}")
                self.closing.wait(AGAIN)
                continue
            except ValueError as error:
                trouble = False
                self.say(safe(str(error)))
                self.changes.popleft()
                self.tell(refused, None)
                continue
            if trouble:
                trouble = False
                self.say("")
            self.changes.popleft()
            self.tell(then, result)
