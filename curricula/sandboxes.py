"""Create sandboxes by name and share them within a process."""

from __future__ import annotations

import atexit
import os
import threading

from curricula.sandbox import KINDS, Limits, Sandbox
from curricula.sandbox_monty import Monty
from curricula.sandbox_subprocess import Subprocess

USUAL = Limits()

_shared: dict[tuple[str, Limits], Sandbox] = {}
_lock = threading.Lock()


def make_sandbox(kind: str = "monty", limits: Limits = USUAL) -> Sandbox:
    """The sandbox of this kind and with these limits, shared by all threads of the process.

    It is closed when the process exits.

    Raises:
        ValueError: the kind is unknown.
    """
    if kind not in KINDS:
        raise ValueError(f"sandbox must be one of {', '.join(KINDS)}, got {kind!r}")
    with _lock:
        key = (kind, limits)
        if key not in _shared:
            _shared[key] = Monty(limits) if kind == "monty" else Subprocess(limits)
        return _shared[key]


@atexit.register
def close_all() -> None:
    """End the processes of all shared sandboxes."""
    with _lock:
        while _shared:
            _shared.popitem()[1].close()


def _unlock() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # a forked child has no thread that would release the lock
    os.register_at_fork(after_in_child=_unlock)
