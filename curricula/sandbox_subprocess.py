"""The sandbox for code that needs the whole language: a fresh Python for each `call`, a process for each of its calls.

The process has an empty working directory that is removed, no environment but a fixed hash seed, and gives up what the
system lets it give up before it sees the code (`curricula/sandbox_guards.py`); which guards these are is found out once
and told by `guards`. A guard that was there and is not any more is a crash of the call, never a call without it.

Not guaranteed, where `guards` does not name them: without seccomp or Landlock the code can read what this user can
read. Sizes are judged after the fact; printed text is thrown away; addresses (`id`, default `repr`) differ from run to
run. About 100 times slower than the default sandbox.
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
    PATIENCE,
    CallResult,
    Limits,
    NotPlain,
    failure,
    plain,
    run_checked,
    too_late,
)
from curricula.sandbox_wire import decode, encode

SCRIPT = Path(__file__).with_name("sandbox_child.py")
LAUNCH = (
    "import os, sys; sys.path.append(os.path.dirname(sys.argv[1]));"
    " import sandbox_child; sys.path.pop(); sandbox_child.main()"
)
"""Imported, not run, so that Python can keep it compiled."""
START = 10.0
"""Seconds that Python may take to start, and to end."""
CALL = 1.0
"""Seconds that a call may take beside its limit: a process to start and to end."""
GUARDS = ("seccomp", "landlock", "network namespace", "rlimits")
SPOKEN = ("ok", "syntax", "raised", "output", "not data")
"""What a call may say of itself."""
FALLBACK = "network namespace"
"""Taken only where there is no seccomp."""


def talk(messages: Sequence[Any], seconds: float) -> bytes:
    """What a fresh Python with our script answers to these messages, in an empty folder that is removed; nothing, if
    it takes longer. Not `-I`, which would ignore the hash seed: there is no environment but that."""
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
    """The guards that this system has, each tried in a process of its own. Raises OSError if that cannot be told: a
    machine that is busy must not look like one without guards."""
    found: list[str] = []
    for name in GUARDS:
        if name == FALLBACK and "seccomp" in found:
            continue
        job = {
            "probe": True, "guards": [name], "calls": 1, "time": START, "most": 999, "patience": 1,
            "recursion": 1000, "memory": 2**26, "seconds": math.ceil(START),
        }  # fmt: skip
        try:
            said = json.loads(talk([job, None], 2 * START)[5:])[0]
        except ValueError:
            raise OSError("sandbox subprocess: a fresh Python does not start, or takes too long to") from None
        if said == "ok":
            found.append(name)
    return tuple(found)


class Subprocess:
    """The sandbox `subprocess`. Safe to share by threads: it keeps nothing."""

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
        """Nothing is kept."""

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
            "recursion": limits.recursion, "most": 16 * limits.output + 4096, "patience": PATIENCE,
        }  # fmt: skip
        said = talk([job, *(encode(args) for args in calls)], START + len(calls) * (limits.time + CALL))
        results = []
        for _ in calls:
            mark, size = said[:1], int.from_bytes(said[1:5], "big")
            results.append(self._result(mark, said[5 : 5 + size]))
            said = said[5 + size :]
        return results

    def _result(self, mark: bytes, said: bytes) -> CallResult:
        """What a call said of itself, or what was seen of it."""
        if mark == b"L":
            return too_late(self.limits)
        if mark == b"O":
            return failure("output", f"a value larger than {self.limits.output}")
        if mark == b"K":
            return failure("crashed", f"ended by signal {said.decode()}")
        try:
            reason, value, detail = json.loads(said)
            if reason == "ok":
                return CallResult(True, plain(decode(value), self.limits))
            if reason not in SPOKEN:
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
