"""The default sandbox: pydantic-monty, an interpreter of a subset of Python in Rust, in reused worker processes.

The interpreter provides no files, network, processes, threads or host functions. Time, memory, recursion and output
are limited. Clocks are fixed, sleeping takes no time and random numbers have a fixed seed, so that programs are
deterministic. A worker that dies or hangs is replaced and its call reported as failed. Features that the interpreter
lacks (`yield`, inheritance, `heapq`, ...) give the reason "unsupported", which differs from an error of the program.

Each call defines its code again in a fresh namespace. Calls of code without lasting effects (`closed`) run in batches,
in a session that is reused for other code; this is the fast path. All other code, and batches that exceed a limit, run
with a separate session for each call.
"""

from __future__ import annotations

import builtins
import ctypes
import datetime
import functools
import importlib.util
import os
import re
import resource
import sys
import threading
import types
import weakref
from collections.abc import Sequence
from typing import Any, ClassVar

import pydantic_monty as monty

from curricula.sandbox import (
    ATTEMPTS,
    INT_BITS,
    LARGE_BITS,
    LARGE_COST,
    MOST_HASHED,
    MOST_TIMEOUTS,
    CallResult,
    Limits,
    NotPlain,
    failure,
    plain,
    run_checked,
    timeout_result,
)

BATCH = 64
"""Maximum number of calls in a batch."""
USES = 500
"""Maximum number of batches of a session; each one leaves some memory in use."""
PURE = r"(?:math|itertools|functools|operator|string|statistics|bisect|typing|collections)"
IMPORT = re.compile(rf"^\s*(?:import {PURE}|from {PURE} import [\w, ]+)\s*$", re.MULTILINE)
"""An import of a module without state."""
OPEN = re.compile(r"\b(?:import|exec|eval|open|id|hash|class|async)\b|__")
"""Syntax that could leave lasting effects or observe those of other code."""
POLICY = monty.OSPolicy(
    datetime=datetime.datetime(2000, 1, 1), timezone="utc", sleep="zero", process_time="zero", random_start={"seed": 0}
)
GRACE = 0.5
"""Seconds after the time limit at which an unresponsive worker is killed."""
CORES = os.cpu_count() or 1
TURNS = 30
"""Longest wait for a free worker, as a multiple of the longest time that a worker is used at once."""
ADDRESSES = 2**30
"""Bytes of address space of a worker in addition to the memory limit of the program."""

PRELUDE = """
lists, dicts, others = (list, tuple, set), (dict,), (bool, float, type(None))
depths, most_int, large_int = list(range(most_depth + 1)), 1 << most_bits, 1 << large_bits

def run(args):
    space, defined = {}, False
    try:
        exec(code, space)
        defined = True
        if function not in space:
            return "raised", "NameError", "the code does not define " + function
        value = space[function](*args)
    except BaseException as error:
        return "raised" if defined else "undefined", type(error).__name__, str(error)[:800]
    level, left, hashed = [value], most_output, most_hashed
    for depth in depths:
        left -= len(level)
        below = []
        for item in level:
            kind = type(item)
            if kind is int:
                if not -large_int < item < large_int:
                    left -= large_cost
                    if not -most_int < item < most_int:
                        left = -1
            elif kind is str:
                left -= len(item)
            elif kind in lists:
                if kind is set:
                    hashed -= len(item)
                if left < len(item):
                    left = -1
                else:
                    below += list(item)
            elif kind in dicts or kind.__name__ in ("Counter", "defaultdict"):
                hashed -= len(item)
                if left < len(item):
                    left = -1
                else:
                    below += list(item.keys())
                    below += list(item.values())
            elif kind not in others:
                return "not data", kind.__name__, ""
            if left < 0 or hashed < 0:
                return "output", type(value).__name__, "larger than allowed"
        if not below:
            return "ok", value, ""
        level = below
    return "output", type(value).__name__, "nested deeper than allowed"
"""
"""Defines `run`, which makes one call and checks the size of its value, level by level, before it is transferred.
It is trusted code; programs cannot access its names."""
GO = "[run(args) for args in calls]"


class Monty:
    """The sandbox `monty`. Thread-safe: each batch has its own worker.

    Every wait is bounded: for a free worker by `TURNS`, for an answer by the time limit and `GRACE`.

    The client library keeps threads and file descriptors that do not survive a fork: a call in the child would wait for
    ever and disturb the parent. A process that was forked after its parent had used this class therefore gets an
    OSError from `call`, and never touches what it inherited.
    """

    name = "monty"
    _owner: ClassVar[int | None] = None  # process in which the client library was first used
    _instances: ClassVar[weakref.WeakSet[Monty]] = weakref.WeakSet()

    def __init__(self, limits: Limits) -> None:
        mark_missing("opentelemetry")
        self.limits = limits
        self.guards: tuple[str, ...] = (
            f"pydantic-monty {monty.__version__}",
            "worker processes",
            "no files, network, processes, host calls",
            "limits on time, memory, recursion, output",
            "rlimits on workers" if sys.platform == "linux" else "no rlimits on workers",
        )
        self._pool: monty.Monty | None = None
        self._idle: list[tuple[monty.MontySession, int]] = []  # idle sessions, with the number of batches they ran
        self._lock = threading.Lock()
        self._instances.add(self)
        self._constants = {
            "most_bits": INT_BITS, "large_bits": LARGE_BITS, "large_cost": LARGE_COST, "most_hashed": MOST_HASHED,
            "most_depth": limits.depth, "most_output": limits.output,
        }  # fmt: skip
        self._resources = monty.ResourceLimits(
            max_feed_duration_secs=limits.time,
            max_memory=limits.memory,
            max_recursion_depth=limits.recursion + 2,  # the prelude's own calls
            max_total_sleep_secs=0.0,
        )

    def call(self, code: str, function: str, calls: Sequence[tuple[Any, ...]]) -> list[CallResult]:
        return run_checked(self._run, code, function, calls, self.limits)

    def _run(self, code: str, function: str, calls: list[tuple[Any, ...]]) -> list[CallResult]:
        results: list[CallResult] = []
        size, late = BATCH if closed(code) else 0, 0
        for start in range(0, len(calls), size or 1):
            part = calls[start : start + (size or 1)]
            inputs = {"code": code, "function": function, "calls": part}
            together = self._run_batch(inputs) if size and late < MOST_TIMEOUTS else None
            if together is not None:
                results += together
                continue
            for args in part:
                result = (
                    self._run_single(inputs | {"calls": [args]})
                    if late < MOST_TIMEOUTS
                    else timeout_result(self.limits)
                )
                late += result.reason == "time"
                results.append(result)
        return results

    def _run_batch(self, inputs: dict[str, Any]) -> list[CallResult] | None:
        """Run calls as a batch in a reused session; None if a limit was exceeded and they must run one by one."""
        with self._lock:
            session, used = self._idle.pop() if self._idle else (None, 0)
        try:
            if session is None:
                session = self._checkout().__enter__()
                self._set_rlimits(session.worker_pid)
                session.feed_run(PRELUDE, inputs=self._constants)
            out = session.feed_run(GO, inputs=inputs, print_callback=self._printed())
        except BaseException as error:
            if session is not None:
                session.__exit__(None, None, None)
            if not isinstance(error, (monty.MontyError, ValueError, ProcessLookupError, TimeoutError)):
                raise
            alone = len(inputs["calls"]) == 1 and not isinstance(error, monty.MontyCrashedError)
            return [timeout_result(self.limits)] if alone and str(error).startswith("TimeoutError") else None
        with self._lock:
            keep = used < USES and len(self._idle) < CORES and self._pool is not None
            if keep:
                self._idle.append((session, used + 1))
        if not keep:
            session.__exit__(None, None, None)
        return [self._result(item) for item in out]

    def _run_single(self, inputs: dict[str, Any]) -> CallResult:
        """Run one call in a new session; again if the interpreter dies, which the system may have caused."""
        for _ in range(ATTEMPTS - 1):
            ran = self._run_once(inputs)
            if ran.reason != "crashed":
                return ran
        return self._run_once(inputs)

    def _run_once(self, inputs: dict[str, Any]) -> CallResult:
        try:
            with self._checkout() as session:
                self._set_rlimits(session.worker_pid)
                out = session.feed_run(PRELUDE + GO, inputs=inputs | self._constants, print_callback=self._printed())
        except ProcessLookupError:  # the worker died before its limits were set
            return failure("crashed", "the interpreter died")
        except TimeoutError:
            return failure("crashed", "no worker became free")
        except monty.MontyCrashedError as error:
            return timeout_result(self.limits) if error.timed_out else failure("crashed", "the interpreter died")
        except monty.MontyError as error:
            return error_result(error, self.limits)
        except ValueError as error:  # a value that cannot be transferred
            return failure("output", error)
        return self._result(out[0])

    def _printed(self) -> monty.CollectString:
        return monty.CollectString(max_bytes=self.limits.output)

    def _checkout(self) -> monty.MontySession:
        return self._get_pool().checkout(limits=self._resources, os_policy=POLICY)

    def _result(self, item: Any) -> CallResult:
        reason, value, detail = item
        if reason == "ok":
            try:
                return CallResult(True, plain(value, self.limits))
            except NotPlain as error:
                return failure(error.reason, error)
        if reason == "undefined" and value == "SyntaxError":
            return failure("syntax", detail)
        if reason in ("raised", "undefined"):
            return exception_result(value, detail)
        return failure(reason, f"a value of type {value}{', ' * bool(detail)}{detail}")

    def _get_pool(self) -> monty.Monty:
        with self._lock:
            if self._pool is None:
                Monty._owner = Monty._owner or os.getpid()
                if Monty._owner != os.getpid():
                    raise OSError(
                        "sandbox monty: this process was forked after its parent had used the sandbox; start it with"
                        " 'spawn' or 'forkserver' instead of 'fork'"
                    )
                longest = self.limits.time + 2 * GRACE
                pool = monty.Monty(
                    max_processes=2 * CORES + 2,  # more than are kept idle, so that one always becomes free
                    checkout_timeout=TURNS * longest,
                    feed_duration_limit_grace=GRACE,
                    turn_duration_limit_grace=GRACE,
                    request_timeout=longest,
                )
                pool.__enter__()
                self._pool = pool
            return self._pool

    def _set_rlimits(self, pid: int | None) -> None:
        """Set resource limits on a worker, in case code escapes the interpreter."""
        if pid is None or sys.platform != "linux":
            return
        for what, most in (
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_AS, ADDRESSES + self.limits.memory),
        ):
            resource.prlimit(pid, what, (most, most))

    def close(self) -> None:
        with self._lock:
            pool, self._pool = self._pool, None
            idle, self._idle = self._idle, []
        for session, _ in idle:
            session.__exit__(None, None, None)
        if pool is not None:
            pool.__exit__(None, None, None)

    def _abandon(self) -> None:
        """Forget, in a forked child, what belongs to the parent, without destroying it: that would stop the parent."""
        for inherited in (self._pool, *(session for session, _ in self._idle)):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))
        self._pool, self._idle, self._lock = None, [], threading.Lock()

    @classmethod
    def _after_fork(cls) -> None:
        for sandbox in list(cls._instances):
            sandbox._abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Monty._after_fork)


def mark_missing(package: str) -> None:
    """Mark a package as missing in `sys.modules` if it is not installed. The client tries to import it in every batch,
    and the search of the import path takes as long as a small program."""
    if package not in sys.modules and importlib.util.find_spec(package) is None:
        sys.modules[package] = None  # type: ignore[assignment]


@functools.lru_cache(256)
def closed(code: str) -> bool:
    """Whether the source shows that calls cannot depend on code that ran before in the same session."""
    return code.isascii() and not OPEN.search(IMPORT.sub("", code))


def error_result(error: monty.MontyError, limits: Limits) -> CallResult:
    """The result of a call that an error of the interpreter stopped."""
    kind, _, detail = str(error).partition(": ")
    if isinstance(error, monty.MontySyntaxError):
        return failure("syntax", error)
    if kind == "TimeoutError":
        return timeout_result(limits)
    if kind == "MemoryError":
        if detail.endswith(f"> {limits.output} bytes"):
            return failure("output", f"printed more than {limits.output} characters")
        return failure("memory", f"more than {limits.memory} bytes")
    return exception_result(kind, detail)


def exception_result(kind: str, detail: str) -> CallResult:
    """The result of a call that raised: an error of the program, or of a feature that the interpreter lacks."""
    reason = "raised"
    if kind == "RecursionError":
        reason = "recursion"
    elif kind == "MemoryError":
        return failure("memory", kind)
    elif is_unsupported(kind, detail):
        reason = "unsupported"
    return failure(reason, f"{kind}: {detail}" if detail else kind)


KNOWN = {
    "abc", "array", "asyncio", "bisect", "cmath", "collections", "collections.abc", "copy", "dataclasses",
    "datetime", "decimal", "enum", "functools", "heapq", "itertools", "json", "math", "numbers", "operator", "os",
    "pathlib", "random", "re", "statistics", "string", "sys", "textwrap", "time", "typing", "unicodedata",
}  # fmt: skip
"""Modules that may be imported to check whether a missing name exists in CPython."""
NAMED = {"function": types.FunctionType, "module": types.ModuleType, "method": types.MethodType}
"""Types that are not attributes of `builtins`."""


def is_unsupported(kind: str, detail: str) -> bool:
    """Whether an exception was raised because the interpreter lacks a feature of CPython."""
    if "monty" in detail and (kind == "NotImplementedError" or "Internal error" in detail):
        return True
    if kind in ("NotImplementedError", "RuntimeError"):
        return any(words in detail for words in ("are not supported", "is not supported", "not yet support"))
    names = re.findall(r"'([^']*)'", detail)
    if kind in ("ModuleNotFoundError", "ImportError") and names:
        if kind == "ImportError" and len(names) >= 2:
            return exists_in_cpython(names[1], names[0])
        return names[0].partition(".")[0] in sys.stdlib_module_names
    if kind == "NameError" and names:
        return hasattr(builtins, names[0])
    if kind == "AttributeError" and len(names) >= 2:
        owner = NAMED.get(names[0]) or getattr(builtins, names[0], None)
        return (isinstance(owner, type) and hasattr(owner, names[1])) or exists_in_cpython(names[0], names[1])
    return False


def exists_in_cpython(module: str, name: str) -> bool:
    """Whether a module, if it is one of `KNOWN`, has this attribute in CPython."""
    return module in KNOWN and hasattr(importlib.import_module(module), name)
