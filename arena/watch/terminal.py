"""The terminal of the screens: they need one, and end when it vanishes.

A terminal that is closed sends SIGHUP to the processes that it controls. Others, such as one started by `setsid` or
`nohup`, see that their input is hung up, and nothing else.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

VANISHED = 128 + signal.SIGHUP
"""Exit status of a command whose terminal vanished."""
GRACE = 3.0
"""Seconds that the screens get to close, for example to write what is not written yet."""


def check_terminal(command: str, instead: str) -> None:
    """Raises ValueError if input, output or error output is no terminal. `instead`: what works without one."""
    streams = (("standard input", sys.stdin), ("standard output", sys.stdout), ("standard error", sys.stderr))
    missing = [name for name, stream in streams if stream is None or not stream.isatty()]
    if missing:
        raise ValueError(f"{command} needs a terminal, but {missing[0]} is none; without a terminal, use: {instead}")


@contextmanager
def ending_with_terminal(leave: Callable[[], Any], fd: int = 0) -> Iterator[threading.Event]:
    """Call `leave` in a thread when the terminal `fd` vanishes; if the block has not ended GRACE seconds later, end the
    process. The event that is returned is set once the terminal has vanished."""
    vanished, done = threading.Event(), threading.Event()

    def wait() -> None:
        poller = select.poll()
        poller.register(fd, 0)  # reports hang-ups and errors alone
        while not vanished.is_set() and not poller.poll(500):
            if done.is_set():
                return
        vanished.set()
        leave()
        if not done.wait(GRACE):
            os._exit(VANISHED)  # a write to the terminal blocks or fails

    before = signal.signal(signal.SIGHUP, lambda *_: vanished.set())
    threading.Thread(target=wait, daemon=True, name="terminal").start()
    try:
        yield vanished
    finally:
        done.set()
        signal.signal(signal.SIGHUP, before)
