"""SIGTERM: a run finishes and stores the phase in progress, then ends.

`GracefulStop` is a listener of `arena.loop.play` and handles SIGTERM while it is entered. On the first SIGTERM it
raises `Stopped` as soon as the phase in progress is stored, or at once if no phase is in progress (a paused run). On
the second, or `GRACE` seconds after the first, it raises `Interrupted` within the phase: everything stored before is
complete, and the phase is played again on resume. Either way the resumed run gives the same result.

Left out: SIGINT, which Python turns into KeyboardInterrupt and which stops at once; SIGHUP, which kills. Not
guaranteed: that a long call into C code is interrupted before it returns. SIGKILL does that, and loses nothing either.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

GRACE = 25.0
"""Seconds that a phase may still take: less than the 30 after which Kubernetes and Slurm kill."""
CUT_SHORT = 128 + signal.SIGTERM
"""Exit status of a run that could not finish its phase; otherwise it is 0."""


class Stopped(BaseException):
    """The run ends on SIGTERM, and the phase in progress is stored. No caller may catch it on the way."""


class Interrupted(KeyboardInterrupt):
    """The run ends on SIGTERM, and the phase in progress is not stored."""


def say_at_once(line: str) -> None:
    """Write to standard error, past Python's buffers, which may be in use when a signal arrives."""
    with suppress(OSError):
        os.write(2, f"note: {line}\n".encode())


class GracefulStop:
    """A listener and context manager, for the main thread. `say` is called with a line on the first SIGTERM."""

    def __init__(self, say: Callable[[str], None] = say_at_once, grace: float = GRACE) -> None:
        self.say, self.grace = say, grace
        self.asked = False
        self._playing = ""  # the phase in progress, in words
        self._before: list[tuple[signal.Signals, Any]] = []

    def __call__(self, event: str, data: dict[str, Any]) -> None:
        if event == "phase":
            self._playing = f"{data['phase']} of generation {data['generation']}"
        elif event == "done":
            self._playing = ""
        if self.asked and not self._playing:
            raise Stopped

    def __enter__(self) -> GracefulStop:
        for which, act in ((signal.SIGTERM, self._asked), (signal.SIGALRM, self._over)):
            self._before.append((which, signal.signal(which, act)))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for which, act in self._before:
            signal.signal(which, act)
        self._before.clear()

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            self._over(number, frame)
        self.asked = True
        if not self._playing:
            raise Stopped
        signal.setitimer(signal.ITIMER_REAL, self.grace)
        self.say(f"SIGTERM: stopping after {self._playing}, in {self.grace:g} s at the latest")

    def _over(self, number: int, frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise Interrupted


class GracefulStopIslands(GracefulStop):
    """The same for the coordinator of islands: the first SIGTERM calls `stop`, which has the generations in progress
    finished and stored."""

    def __init__(
        self, stop: Callable[[], None], say: Callable[[str], None] = say_at_once, grace: float = GRACE
    ) -> None:
        super().__init__(say, grace)
        self.stop = stop

    def __call__(self, event: str, data: dict[str, Any]) -> None:
        """Ignore all events: the coordinator decides where a run of islands ends."""

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            self._over(number, frame)
        self.asked = True
        self.stop()
        signal.setitimer(signal.ITIMER_REAL, self.grace)
        self.say(f"SIGTERM: stopping after the generations in progress, in {self.grace:g} s at the latest")
