"""Create sandboxes by name and share them within a process."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Sequence
from typing import Any

from curricula.sandbox import KINDS, CallResult, Limits, Sandbox, failure
from curricula.sandbox_differences import inspect
from curricula.sandbox_monty import Monty
from curricula.sandbox_subprocess import Subprocess

USUAL = Limits()
NEEDED = frozenset(("seccomp", "landlock"))
"""Guards without which the subprocess sandbox is not used in place of Monty."""

_shared: dict[tuple[str, Limits], Sandbox] = {}
_lock = threading.Lock()


class Agreeing:
    """Monty, where it agrees with Python; other calls are settled by the subprocess sandbox, or refused.

    A call is other if its code or arguments can differ (`curricula/sandbox_differences.py`), if Monty lacks a feature,
    or if it reports an error that Python may not raise. It is refused with the reason "unsupported", and the
    construct is named, if `settle` is false or a guard of `NEEDED` is missing on this machine.
    """

    def __init__(self, limits: Limits, settle: bool = True) -> None:
        self.name = "monty" if settle else "monty_only"
        self.limits = limits
        self._settle = settle
        self._fast = Monty(limits)
        self.guards: tuple[str, ...] = (
            *self._fast.guards,
            "code on which it can differ from Python: " + ("sandbox subprocess" if settle else "refused"),
        )

    def call(self, code: str, function: str, calls: Sequence[tuple[Any, ...]]) -> list[CallResult]:
        found = inspect(code) if len(code) <= self.limits.source else inspect("")
        why = [found.in_call(tuple(args)) for args in calls]
        agreed = iter(
            self._fast.call(code, function, [args for args, each in zip(calls, why, strict=True) if not each])
        )
        results = [failure("unsupported", each) if each else next(agreed) for each in why]
        why = [each or found.in_result(ran) for each, ran in zip(why, results, strict=True)]
        open_calls = [i for i, each in enumerate(why) if each]
        if not open_calls:
            return results
        slow = make_sandbox("subprocess", self.limits) if self._settle else None
        if slow is not None and set(slow.guards) >= NEEDED:
            settled = slow.call(code, function, [calls[i] for i in open_calls])
        else:
            lacks = "" if slow is None else f"; this system lacks the guards of sandbox subprocess ({_lacking(slow)})"
            settled = [
                failure("unsupported", f"{why[i]}: the interpreter can differ from Python{lacks}") for i in open_calls
            ]
        for i, ran in zip(open_calls, settled, strict=True):
            results[i] = ran
        return results

    def close(self) -> None:
        self._fast.close()


def _lacking(sandbox: Sandbox) -> str:
    return ", ".join(sorted(NEEDED.difference(sandbox.guards)))


def make_sandbox(kind: str = "monty", limits: Limits = USUAL) -> Sandbox:
    """The sandbox of this kind and with these limits, shared by all threads of the process.

    Kinds: "monty" (the fast interpreter; what it can differ on is settled by Python in the subprocess sandbox),
    "monty_only" (what it can differ on is refused), "subprocess" (Python for every call). It is closed when the process
    exits.

    Raises:
        ValueError: the kind is unknown.
    """
    if kind not in KINDS:
        raise ValueError(f"sandbox must be one of {', '.join(KINDS)}, got {kind!r}")
    with _lock:
        key = (kind, limits)
        if key not in _shared:
            _shared[key] = Subprocess(limits) if kind == "subprocess" else Agreeing(limits, kind == "monty")
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
