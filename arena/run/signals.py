"""SIGTERM: a run that is asked to end finishes its phase, which stores it, and ends well.

`Leaving` is a listener of `arena.loop.play` and has the process's SIGTERM while it is entered. Asked once, it raises
`Left` as soon as the phase in progress is stored, at once where none is in progress (a paused run). Asked twice, or
when `GRACE` seconds are over, it raises `CutShort` in the midst of the phase: what was stored before is whole, and the
phase is played again when the run goes on. Either way the run can be resumed and comes out the same.

Left out: SIGINT, which Python turns into KeyboardInterrupt and which stops at once; SIGHUP, which kills. Not
guaranteed: that a call into foreign code that takes long is interrupted before it returns; SIGKILL does that, and loses
nothing either.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

GRACE = 25.0
"""Seconds a phase may still take: less than the 30 after which Kubernetes and Slurm kill."""
CUT_SHORT = 128 + signal.SIGTERM
"""Exit status of a run that could not finish its phase; one that could exits with 0."""


class Left(BaseException):
    """The run was asked to end, and what was in progress is stored. Nothing on the way may catch it."""


class CutShort(KeyboardInterrupt):
    """The run was asked to end, and what was in progress is not stored."""


def say_at_once(line: str) -> None:
    """To standard error past Python's buffers, which may be in use when a signal comes."""
    with suppress(OSError):
        os.write(2, f"note: {line}\n".encode())


class Leaving:
    """A listener and context manager, for the main thread. `say` is given a line when the first SIGTERM comes."""

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
            raise Left

    def __enter__(self) -> Leaving:
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
            raise Left
        signal.setitimer(signal.ITIMER_REAL, self.grace)
        self.say(f"SIGTERM: stopping after {self._playing}, in {self.grace:g} s at the latest")

    def _over(self, number: int, frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise CutShort


class LeavingIslands(Leaving):
    """The same for the head of islands: asked once, it has the generations in progress finished and stored, by
    `stop`."""

    def __init__(
        self, stop: Callable[[], None], say: Callable[[str], None] = say_at_once, grace: float = GRACE
    ) -> None:
        super().__init__(say, grace)
        self.stop = stop

    def __call__(self, event: str, data: dict[str, Any]) -> None:
        """Nothing: where a run of islands ends is its head's to say."""

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            self._over(number, frame)
        self.asked = True
        self.stop()
        signal.setitimer(signal.ITIMER_REAL, self.grace)
        self.say(f"SIGTERM: stopping after the generations in progress, in {self.grace:g} s at the latest")
