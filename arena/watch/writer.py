"""Writes requests to a run one after another, in a worker thread.

A request that finds the database locked or missing is kept and tried again until it is written; the error of an invalid
one is shown. When the watcher closes, the remaining requests are tried once more. Left out: what a request writes
(`arena.watch.commands`).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from arena.watch.commands import RunControl
from arena.watch.queries.base import Busy, safe

Change = Callable[[RunControl], Any]
KEPT_NOTE = "the request is kept and will be written as soon as possible"
RETRY_SECONDS = 0.5
"""Seconds between two attempts to write."""


class Writer:
    """A queue of requests to one run.

    Args:
        control: writes the requests.
        start_thread: runs a function in a worker thread.
        show_note: shows a line of text; an empty one hides it.
        call_back: calls a function with a value in the screen's thread.
        closing: set when the application closes.
    """

    def __init__(
        self,
        control: RunControl,
        start_thread: Callable[[Callable[[], None]], None],
        show_note: Callable[[str], None],
        call_back: Callable[[Callable[[Any], None], Any], None],
        closing: threading.Event,
    ) -> None:
        self.control, self.start_thread, self.closing = control, start_thread, closing
        self.show_note, self.call_back = show_note, call_back
        self.changes: deque[tuple[Change, Callable[[Any], None], Callable[[Any], None]]] = deque()
        self.lock, self.working = threading.Lock(), False

    def put(self, change: Change, then: Callable[[Any], None], refused: Callable[[Any], None] = lambda _: None) -> None:
        """Queue a request. `then` is called with its result once it is written, `refused` with None if it is
        invalid."""
        with self.lock:
            self.changes.append((change, then, refused))
            begin, self.working = not self.working, True
        if begin:
            self.start_thread(self._work)

    def _work(self) -> None:
        waiting = False
        while True:
            with self.lock:
                if not self.changes:
                    self.working = False
                    return
                change, then, refused = self.changes[0]
            try:
                result = change(self.control)
            except Busy as error:
                if self.closing.is_set():
                    return
                waiting = True
                self.show_note(f"{safe(str(error))}; {KEPT_NOTE}")
                self.closing.wait(RETRY_SECONDS)
                continue
            except ValueError as error:
                waiting = False
                self.show_note(safe(str(error)))
                self.changes.popleft()
                self.call_back(refused, None)
                continue
            if waiting:
                waiting = False
                self.show_note("")
            self.changes.popleft()
            self.call_back(then, result)
