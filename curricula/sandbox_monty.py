"""The default sandbox: pydantic-monty, an interpreter of a subset of Python in Rust, in worker processes that are kept.

The interpreter has no files, network, processes, threads or host functions to give; time, memory, recursion and output
are limited; clocks stand still, sleeping takes no time and random numbers start from one seed, so that a program gives
the same every time. A worker that dies or hangs is replaced, and its call reported. What the interpreter lacks
(`yield`, inheritance, `heapq`, ...) is told apart from what is wrong: reason "unsupported".

A code's calls are run in one go, each with the code defined afresh in a namespace of its own. If the go as a whole
runs out of something, or the code could leave something behind for the next call (it imports, or is not plainly
readable), each call has a session to itself.
"""

from __future__ import annotations

import builtins
import datetime
import importlib
import re
import resource
import sys
import threading
from collections.abc import Sequence
from typing import Any

import pydantic_monty as monty

from curricula.sandbox import (
    INT_BITS,
    LARGE_BITS,
    LARGE_COST,
    Limits,
    NotPlain,
    Ran,
    arguments,
    failure,
    normal,
    plain,
    refused,
)

BATCH = 64
"""Calls in one go at most."""
NOT_SHARED = ("import", "exec", "eval", "__", "open")
"""Code with one of these could leave something behind for the next call of a session."""
POLICY = monty.OSPolicy(
    datetime=datetime.datetime(2000, 1, 1), timezone="utc", sleep="zero", process_time="zero", random_start={"seed": 0}
)
GRACE = 0.25
"""Seconds past the limit after which a worker that does not answer is killed."""
ADDRESSES = 2**30
"""Bytes of address space that a worker has beside the program's memory."""

DRIVER = """
def check(value, depth):
    global left
    left -= 1
    kind = type(value)
    if kind is int:
        if not -most_int < value < most_int:
            return "output"
        if not -large_int < value < large_int:
            left -= large_cost
    elif kind is str:
        left -= len(value)
    elif kind is list or kind is tuple or kind is set:
        if depth >= most_depth or left < len(value):
            return "output"
        for item in value:
            wrong = check(item, depth + 1)
            if wrong:
                return wrong
    elif kind in dicts:
        if depth >= most_depth or left < len(value):
            return "output"
        for key, item in value.items():
            wrong = check(key, depth + 1) or check(item, depth + 1)
            if wrong:
                return wrong
    elif value is not None and kind is not bool and kind is not float:
        return "not data"
    return "output" if left < 0 else ""

def run(args):
    global left
    space = {}
    try:
        exec(code, space)
    except SyntaxError as error:
        return ("syntax", "SyntaxError", str(error)[:800])
    except BaseException as error:
        return ("raised", type(error).__name__, str(error)[:800])
    if function not in space:
        return ("raised", "NameError", "the code does not define " + function)
    try:
        value = space[function](*args)
    except BaseException as error:
        return ("raised", type(error).__name__, str(error)[:800])
    left = most_output
    wrong = check(value, 0)
    if wrong:
        return (wrong, type(value).__name__, "")
    return ("ok", value, "")

dicts = [dict]
if "collections" in code:
    import collections
    dicts = [dict, collections.Counter, collections.defaultdict]
large_int = 1 << large_bits
most_int = 1 << most_bits
left = 0
[run(args) for args in calls]
"""


class Monty:
    """The sandbox `monty`. Safe to share by threads: each go has a worker to itself."""

    name = "monty"

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.guards: tuple[str, ...] = (
            f"pydantic-monty {monty.__version__}",
            "worker processes",
            "no files, network, processes, host calls",
            "limits on time, memory, recursion, output",
            "rlimits on workers" if sys.platform == "linux" else "no rlimits on workers",
        )
        self._pool: monty.Monty | None = None
        self._limited: set[int] = set()
        self._lock = threading.Lock()
        self._resources = monty.ResourceLimits(
            max_feed_duration_secs=limits.time,
            max_memory=limits.memory,
            max_recursion_depth=limits.recursion + 3,  # the driver's own calls
            max_total_sleep_secs=0.0,
        )

    def call(self, code: str, function: str, calls: Sequence[tuple[Any, ...]]) -> list[Ran]:
        no = refused(code, function, self.limits)
        if no is not None:
            return [no] * len(calls)
        found: list[tuple[Any, ...] | Ran] = arguments(calls, self.limits)
        todo = [i for i, args in enumerate(found) if not isinstance(args, Ran)]
        size = BATCH if code.isascii() and not any(word in code for word in NOT_SHARED) else 1
        for start in range(0, len(todo), size):
            part = todo[start : start + size]
            ran = self._go(code, normal(function), [found[i] for i in part])
            if ran is None:
                ran = [r for i in part for r in self._go(code, normal(function), [found[i]]) or ()]
            for i, result in zip(part, ran, strict=True):
                found[i] = result
        return [result for result in found if isinstance(result, Ran)]

    def _go(self, code: str, function: str, calls: list[Any]) -> list[Ran] | None:
        """The calls in one session; None if they have to be made one by one."""
        inputs = {
            "code": code, "function": function, "calls": calls, "most_bits": INT_BITS,
            "large_bits": LARGE_BITS, "large_cost": LARGE_COST, "most_depth": self.limits.depth,
            "most_output": self.limits.output,
        }  # fmt: skip
        printed = monty.CollectString(max_bytes=self.limits.output)
        try:
            with self._open().checkout(limits=self._resources, os_policy=POLICY) as session:
                self._limit(session.worker_pid)
                out = session.feed_run(DRIVER, inputs=inputs, print_callback=printed)
        except monty.MontyCrashedError as error:
            stopped = late(self.limits) if error.timed_out else failure("crashed", "the interpreter died")
        except monty.MontyError as error:
            stopped = judge(error, self.limits)
        except ValueError as error:  # a value that cannot be brought over
            stopped = failure("output", error)
        else:
            return [self._result(item) for item in out]
        return [stopped] if len(calls) == 1 else None

    def _result(self, item: Any) -> Ran:
        reason, value, detail = item
        if reason == "ok":
            try:
                return Ran(True, plain(value, self.limits))
            except NotPlain as error:
                return failure(error.reason, error)
        if reason == "raised":
            return raised(value, detail)
        return failure(reason, detail or f"a value of type {value}")

    def _open(self) -> monty.Monty:
        with self._lock:
            if self._pool is None:
                pool = monty.Monty(
                    feed_duration_limit_grace=GRACE,
                    turn_duration_limit_grace=GRACE,
                    request_timeout=self.limits.time + 2 * GRACE,
                )
                pool.__enter__()
                self._pool = pool
            return self._pool

    def _limit(self, pid: int | None) -> None:
        """Take from a worker what it never needs, should its interpreter be broken out of."""
        if pid is None or pid in self._limited or sys.platform != "linux":
            return
        for what, most in (
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_AS, ADDRESSES + self.limits.memory),
        ):
            resource.prlimit(pid, what, (most, most))
        self._limited.add(pid)

    def close(self) -> None:
        with self._lock:
            pool, self._pool = self._pool, None
            self._limited.clear()
        if pool is not None:
            pool.__exit__(None, None, None)


def late(limits: Limits) -> Ran:
    return failure("time", f"more than {limits.time:g} s")


def judge(error: monty.MontyError, limits: Limits) -> Ran:
    """What stopped a go as a whole."""
    kind, _, detail = str(error).partition(": ")
    if isinstance(error, monty.MontySyntaxError):
        return failure("syntax", error)
    if kind == "TimeoutError":
        return late(limits)
    if kind == "MemoryError":
        if detail.endswith(f"> {limits.output} bytes"):
            return failure("output", f"printed more than {limits.output} characters")
        return failure("memory", f"more than {limits.memory} bytes")
    return raised(kind, detail)


def raised(kind: str, detail: str) -> Ran:
    """An exception of the program: its own, or one that says what the interpreter does not have."""
    reason = "raised"
    if kind == "RecursionError":
        reason = "recursion"
    elif kind == "MemoryError":
        return failure("memory", kind)
    elif lacks(kind, detail):
        reason = "unsupported"
    return failure(reason, f"{kind}: {detail}" if detail else kind)


KNOWN = ("math", "itertools", "collections", "functools", "string", "re", "operator", "random", "statistics", "json")
"""Modules whose contents are looked up, to tell what the interpreter lacks from what does not exist."""


def lacks(kind: str, detail: str) -> bool:
    """Whether an exception is there because the interpreter lacks something that Python has."""
    if "monty" in detail and (kind == "NotImplementedError" or "Internal error" in detail):
        return True
    if kind == "NotImplementedError":
        return "not supported" in detail or "not yet support" in detail
    names = re.findall(r"'([^']*)'", detail)
    if kind in ("ModuleNotFoundError", "ImportError") and names:
        if kind == "ImportError" and len(names) >= 2:
            return offers(names[1], names[0])
        return names[0].partition(".")[0] in sys.stdlib_module_names
    if kind == "NameError" and names:
        return hasattr(builtins, names[0])
    if kind == "AttributeError" and len(names) >= 2:
        owner = getattr(builtins, names[0], None)
        return (isinstance(owner, type) and hasattr(owner, names[1])) or offers(names[0], names[1])
    return False


def offers(module: str, name: str) -> bool:
    """Whether a module that is known to be harmless has something of this name in Python."""
    return module in KNOWN and hasattr(importlib.import_module(module), name)
