"""The sandbox for the whole language: a fresh Python for each `call`, and a forked process for each tuple of arguments.

The process has an empty temporary working directory and no environment except a fixed hash seed. Before it reads the
code, it drops privileges with the guards that the system supports (`curricula/sandbox_guards.py`). They are detected
once and listed in `guards`. If a detected guard later fails, the call fails; it never runs without the guard.

Not guaranteed: without seccomp or Landlock in `guards`, the code can read the files that this user can read. Sizes are
checked after the fact; printed text is discarded; addresses (`id`, default `repr`) differ from run to run. About 100
times slower than the default sandbox.
"""

from __future__ import annotations

import functools
import json
import math
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curricula.sandbox import (
    ATTEMPTS,
    MOST_TIMEOUTS,
    CallResult,
    Limits,
    NotPlain,
    failure,
    plain,
    run_checked,
    timeout_result,
)
from curricula.sandbox_wire import decode, encode

SCRIPT = Path(__file__).with_name("sandbox_child.py")
LAUNCH = (
    "import os, sys; sys.path.append(os.path.dirname(sys.argv[1]));"
    " import sandbox_child; sys.path.pop(); sandbox_child.main()"
)
"""Imports the script instead of running it, so that its bytecode is cached."""
START = 10.0
"""Seconds allowed for Python to start and to exit."""
CALL = 1.0
"""Seconds allowed per call in addition to its limit, to start and to end its process."""
GUARDS = ("seccomp", "landlock", "network namespace", "rlimits")
CHILD_REASONS = ("ok", "syntax", "raised", "output", "not data")
"""Reasons that the child process may report."""
FALLBACK = "network namespace"
"""Used only without seccomp."""


def exchange(messages: Sequence[Any], seconds: float) -> bytes:
    """Send messages to a fresh Python that runs the script; return its output, empty after a timeout.

    It runs in an empty folder that is removed. Not with `-I`, which would ignore the hash seed, the only variable of
    its environment.
    """
    command = [sys.executable, "-S", "-s", "-P", "-X", "utf8", "-c", LAUNCH, str(SCRIPT)]
    data = [json.dumps(message).encode() for message in messages]
    with tempfile.TemporaryDirectory(prefix="sandbox-") as folder:
        process = subprocess.Popen(
            command, cwd=folder, env={"PYTHONHASHSEED": "0"}, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            return process.communicate(b"".join(struct.pack(">I", len(m)) + m for m in data), seconds)[0]
        except subprocess.TimeoutExpired:
            return b""
        finally:
            process.kill()
            process.communicate()


@functools.cache
def available() -> tuple[str, ...]:
    """Detect the guards that this system supports, each in a separate process.

    Raises:
        OSError: a process did not start in time; a busy machine must not be taken for one without guards.
    """
    found: list[str] = []
    for name in GUARDS:
        if name == FALLBACK and "seccomp" in found:
            continue
        job = {
            "probe": True, "guards": [name], "calls": 1, "time": START, "most": 999, "patience": 1,
            "recursion": 1000, "memory": 2**26, "seconds": math.ceil(START),
        }  # fmt: skip
        try:
            said = json.loads(exchange([job, None], 2 * START)[5:])[0]
        except ValueError:
            raise OSError("sandbox subprocess: a fresh Python does not start, or takes too long to") from None
        if said == "ok":
            found.append(name)
    return tuple(found)


class Subprocess:
    """The sandbox `subprocess`. Thread-safe, because it has no mutable state."""

    name = "subprocess"

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._guards = list(available())
        self.guards: tuple[str, ...] = (
            "a process for each call, without environment, in an empty folder",
            "wall clock",
            *self._guards,
            *(f"no {name}" for name in ("seccomp", "landlock", "rlimits") if name not in self._guards),
        )

    def call(self, code: str, function: str, calls: Sequence[tuple[Any, ...]]) -> list[CallResult]:
        return run_checked(self._run, code, function, calls, self.limits)

    def close(self) -> None:
        """Does nothing: no process outlives its call."""

    def _run(self, code: str, function: str, calls: list[tuple[Any, ...]]) -> list[CallResult]:
        results = self._start(code, function, calls)
        for i, args in enumerate(calls):
            for _ in range(ATTEMPTS - 1):  # run alone again if the process died, which the system may have caused
                if results[i].reason == "crashed":
                    (results[i],) = self._start(code, function, [args])
        return results

    def _start(self, code: str, function: str, calls: list[Any]) -> list[CallResult]:
        limits = self.limits
        job = {
            "code": code, "function": function, "calls": len(calls), "guards": self._guards,
            "time": limits.time, "seconds": math.ceil(limits.time) + 1, "memory": limits.memory,
            "recursion": limits.recursion, "most": 16 * limits.output + 4096, "patience": MOST_TIMEOUTS,
        }  # fmt: skip
        said = exchange([job, *(encode(args) for args in calls)], START + len(calls) * (limits.time + CALL))
        results = []
        for _ in calls:
            mark, size = said[:1], int.from_bytes(said[1:5], "big")
            results.append(self._result(mark, said[5 : 5 + size]))
            said = said[5 + size :]
        return results

    def _result(self, mark: bytes, said: bytes) -> CallResult:
        """Build the result of a call from its mark (see `sandbox_child.run_call`) and its output."""
        if mark == b"L":
            return timeout_result(self.limits)
        if mark == b"O":
            return failure("output", f"a value larger than {self.limits.output}")
        if mark == b"K":
            return failure("crashed", f"ended by signal {said.decode()}")
        try:
            reason, value, detail = json.loads(said)
            if reason == "ok":
                return CallResult(True, plain(decode(value), self.limits))
            if reason not in CHILD_REASONS:
                raise ValueError("no reason")
        except NotPlain as error:
            return failure(error.reason, error)
        except (ValueError, TypeError, RecursionError):
            return failure("crashed", "ended without a result")
        if reason == "raised" and value in ("RecursionError", "MemoryError"):
            return failure("recursion" if value == "RecursionError" else "memory", value)
        if reason in ("raised", "syntax"):
            return failure(reason, f"{value}: {detail}" if detail else value)
        return failure(reason, detail or f"a value of type {value}")
