"""The interface of the sandboxes that run model-written code: in another process, under limits, exchanging plain data.

`monty` (the default, `curricula/sandbox_monty.py`) interprets a subset of Python in Rust, in reused worker processes
without access to files, network, processes or clocks; what it can differ on is left to Python
(`curricula/sandboxes.py`). `subprocess` (`curricula/sandbox_subprocess.py`) starts a fresh Python process for each
call, for code that needs the whole language. docs/sandbox.md lists what each prevents and what is not guaranteed.

No object of a program is ever called in this process. Results are None, bool, int, float, str, list, tuple, dict or
set, of exactly these types; callers compare them.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

REASONS = ("syntax", "raised", "time", "memory", "recursion", "unsupported", "output", "not data", "crashed")
KINDS = ("monty", "monty_only", "subprocess")
DETAIL = 200
"""Maximum length of a detail, in characters."""
INT_BITS = 13_000
"""Maximum size of an integer: 3,914 decimal digits, below Python's conversion limit of 4,300."""

LARGE_BITS, LARGE_COST = 128, 1000
"""An integer of more than LARGE_BITS bits counts as LARGE_COST characters."""
MOST_TIMEOUTS = 2
"""Timeouts of one program after which its remaining calls are not run and also fail with "time"."""
ATTEMPTS = 3
"""Attempts at a call whose process dies, before the call is blamed; the system may also run out of memory."""
MOST_HASHED = 4096
"""Maximum number of items in all sets and dicts of a value; bounds the cost of deliberate hash collisions."""


@dataclass(frozen=True)
class Limits:
    """Limits on one call."""

    time: float = 1.0
    """Seconds, for definition and call together."""
    memory: int = 64 * 2**20
    """Bytes of objects that the program may allocate."""
    recursion: int = 1000
    """Maximum depth of nested calls."""
    output: int = 65_536
    """Maximum size of a value, where each item and each character counts 1; also of printed text, in characters."""
    depth: int = 32
    """Maximum nesting depth of containers in a value."""
    source: int = 65_536
    """Maximum length of code, in characters."""


@dataclass(frozen=True)
class CallResult:
    """The result of one call."""

    ok: bool
    value: Any = None
    """The returned plain data; None if the call failed."""
    reason: str = "ok"
    """Why the call failed: one of `REASONS`; "ok" if it did not."""
    detail: str = ""
    """One line of at most `DETAIL` characters."""


class Sandbox(Protocol):
    """Runs untrusted code."""

    name: str

    @property
    def guards(self) -> tuple[str, ...]:
        """The protections in effect on this machine, as readable texts."""

    def call(self, code: str, function: str, calls: Sequence[tuple[Any, ...]]) -> list[CallResult]:
        """Define `code` and call one of its functions with each tuple of arguments, each in a fresh namespace.

        Arguments are passed as values and never become part of the code. Total: any text gives a result for each call.
        After `MOST_TIMEOUTS` timeouts the remaining calls are not run, and fail with the reason "time".

        Args:
            code: source of a module.
            function: name of a function that it defines.
            calls: one tuple of plain data per call.

        Returns:
            One result per call, in order.
        """

    def close(self) -> None:
        """Terminate the worker processes. A later call starts new ones."""


class NotPlain(ValueError):
    """A value that is not plain data (`reason` "not data") or exceeds the limits ("output")."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def plain(value: Any, limits: Limits) -> Any:
    """Deep-copy plain data. Only exact types are accepted, so no method of a subclass is called.

    Raises:
        NotPlain: the value has another type or exceeds `limits`.
    """
    left, hashed = limits.output, MOST_HASHED

    def copy(value: Any, depth: int) -> Any:
        nonlocal left, hashed
        left -= 1
        kind = type(value)
        if kind is int:
            if value.bit_length() > INT_BITS:
                raise NotPlain("output", f"an integer of {value.bit_length()} bits; at most {INT_BITS}")
            left -= LARGE_COST * (value.bit_length() > LARGE_BITS)
        elif kind is str:
            left -= len(value)
            if left >= 0 and not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
                raise NotPlain("not data", "a string with half a character (a lone surrogate)")
        elif kind in (list, tuple, dict, set):
            if depth >= limits.depth:
                raise NotPlain("output", f"containers nested deeper than {limits.depth}")
            if kind in (dict, set):
                hashed -= len(value)
            if left < len(value) or hashed < 0:
                raise NotPlain(
                    "output", f"a value larger than {limits.output}, or {MOST_HASHED} in sets and dictionaries"
                )
            if kind is dict:
                return {copy(k, depth + 1): copy(v, depth + 1) for k, v in value.items()}
            return kind(copy(item, depth + 1) for item in value)
        elif value is not None and kind not in (bool, float):
            raise NotPlain("not data", f"a value of type {kind.__name__}"[:DETAIL])
        if left < 0:
            raise NotPlain("output", f"a value larger than {limits.output}")
        return value

    return copy(value, 0)


def failure(reason: str, detail: object = "") -> CallResult:
    """A failed call. The detail becomes one short printable line without addresses, the same in every run."""
    text = re.sub(r"0x[0-9a-fA-F]+", "0x", str(detail)[: 4 * DETAIL])
    text = " ".join(re.sub(r" \((?:/[^)]*|unknown location)\)", "", text).split())
    return CallResult(False, None, reason, "".join(c if c.isprintable() else "�" for c in text)[:DETAIL])


def timeout_result(limits: Limits) -> CallResult:
    return failure("time", f"more than {limits.time:g} s")


@functools.lru_cache(256)
def refused(code: str, function: str, limits: Limits) -> CallResult | None:
    """The result of code that is not run at all, or None if it may run."""
    if len(code) > limits.source:
        return failure("syntax", f"{len(code)} characters of code; at most {limits.source}")
    if "\0" in code:
        return failure("syntax", "a null character")
    if not code.isascii() and any("\ud800" <= c <= "\udfff" for c in code):
        return failure("syntax", "half a character (a lone surrogate)")
    if not function.isidentifier():
        return failure("syntax", f"{function[:50]!r} is no name of a function")
    return None


def run_checked(
    run: Callable[[str, str, list[tuple[Any, ...]]], list[CallResult]],
    code: str,
    function: str,
    calls: Sequence[tuple[Any, ...]],
    limits: Limits,
) -> list[CallResult]:
    """Check the input of `Sandbox.call`, and run only the calls whose arguments are plain data.

    Args:
        run: runs `code` and calls the function, given by its normalised name, with each tuple of copied arguments;
            returns one result per call. Not called if nothing is left to run.
        code, function, calls: as in `Sandbox.call`.
        limits: limits on the code and on each tuple of arguments.

    Returns:
        One result per call, in the order of `calls`.
    """
    rejected = refused(code, function, limits)
    if rejected is not None:
        return [rejected] * len(calls)
    checked: list[tuple[Any, ...] | CallResult] = []
    for args in calls:
        try:
            checked.append(plain(tuple(args), limits))
        except NotPlain as error:
            checked.append(failure(error.reason, f"argument: {error}"))
    runnable = [args for args in checked if not isinstance(args, CallResult)]
    results = iter(run(code, normalized(function), runnable) if runnable else ())
    return [args if isinstance(args, CallResult) else next(results) for args in checked]


def normalized(name: str) -> str:
    """Normalise an identifier as Python does (NFKC)."""
    return unicodedata.normalize("NFKC", name)
