"""Where code that models wrote is run: in another process, under limits, with plain data in and plain data out.

Two sandboxes have one interface. `monty` (the default, `curricula/sandbox_monty.py`) interprets a subset of Python in
Rust, in worker processes that are kept; it has no way to files, network, processes or clocks. `subprocess`
(`curricula/sandbox_subprocess.py`) starts a fresh Python for each call, for code that needs the whole language.
docs/sandbox.md says what stops what in each, and what is not guaranteed.

Nothing that a program made is ever called here: what comes back is None, bool, int, float, str, list, tuple, dict or
set, of exactly these types, and is compared by others, outside.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

REASONS = ("syntax", "raised", "time", "memory", "recursion", "unsupported", "output", "not data", "crashed")
KINDS = ("monty", "subprocess")
DETAIL = 200
"""Characters of a detail at most."""
INT_BITS = 13_000
"""Bits of an integer at most: 3,914 digits, under the 4,300 that Python writes and reads."""

LARGE_BITS, LARGE_COST = 128, 1000
"""An integer of more bits than that counts as so many characters."""
PATIENCE = 2
"""Calls of one code that may run out of time; those after them are not tried, and come to the same."""
ATTEMPTS = 3
"""Processes that may die in one call before that is taken for the call's own doing: memory runs out elsewhere, too."""
HASHED = 4096
"""Items of all sets and dictionaries of a value at most: a few thousand that collide on purpose cost us little."""


@dataclass(frozen=True)
class Limits:
    """What one call may use."""

    time: float = 1.0
    """Seconds, of the definition and the call together."""
    memory: int = 64 * 2**20
    """Bytes of the program's own objects."""
    recursion: int = 1000
    """Calls within calls."""
    output: int = 65_536
    """Size of a value, counting each item as one and each character as one; and characters printed."""
    depth: int = 32
    """Containers within containers of a value."""
    source: int = 65_536
    """Characters of code."""


@dataclass(frozen=True)
class CallResult:
    """What one call came to."""

    ok: bool
    value: Any = None
    """Plain data; None where the call came to nothing."""
    reason: str = "ok"
    """Else one of `REASONS`."""
    detail: str = ""
    """One line, at most `DETAIL` characters."""


class Sandbox(Protocol):
    """Runs code that nobody vouches for."""

    name: str

    @property
    def guards(self) -> tuple[str, ...]:
        """What is in force on this machine, in words."""

    def call(self, code: str, function: str, calls: Sequence[tuple[Any, ...]]) -> list[CallResult]:
        """Define `code` and call `function` with each tuple of arguments (passed as values, never pasted into text),
        each call in a fresh namespace. Total: any text gets a result for each call. After `PATIENCE` calls that ran
        out of time the rest are not tried: their reason is "time" too."""

    def close(self) -> None:
        """End the processes. A later call starts new ones."""


class NotPlain(ValueError):
    """A value that is not plain data, or too much of it; `reason` says which."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def plain(value: Any, limits: Limits) -> Any:
    """A copy of plain data that shares nothing with it. Raises NotPlain.

    Asks for exact types only, so nothing of a subclass is ever called.
    """
    left, hashed = limits.output, HASHED

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
                raise NotPlain("output", f"a value larger than {limits.output}, or {HASHED} in sets and dictionaries")
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
    """A call that came to nothing; the detail is made one short, printable line that is the same in every run."""
    text = re.sub(r"0x[0-9a-fA-F]+", "0x", str(detail)[: 4 * DETAIL])
    text = " ".join(re.sub(r" \((?:/[^)]*|unknown location)\)", "", text).split())
    return CallResult(False, None, reason, "".join(c if c.isprintable() else "�" for c in text)[:DETAIL])


def too_late(limits: Limits) -> CallResult:
    return failure("time", f"more than {limits.time:g} s")


@functools.lru_cache(256)
def refused(code: str, function: str, limits: Limits) -> CallResult | None:
    """Why code is not even tried, if it is not."""
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
    """Check what a sandbox was handed, and let it run only the calls whose arguments are plain data.

    Args:
        run: runs `code` and calls the function, given by its normalised name, with each tuple of copied arguments;
            returns one result per call. Not called if nothing is left to run.
        code, function, calls: as handed to `Sandbox.call`.
        limits: limits on the code and on each tuple of arguments.

    Returns:
        One result per call, in the order of `calls`.
    """
    no = refused(code, function, limits)
    if no is not None:
        return [no] * len(calls)
    checked: list[tuple[Any, ...] | CallResult] = []
    for args in calls:
        try:
            checked.append(plain(tuple(args), limits))
        except NotPlain as error:
            checked.append(failure(error.reason, f"argument: {error}"))
    runnable = [args for args in checked if not isinstance(args, CallResult)]
    results = iter(run(code, normal(function), runnable) if runnable else ())
    return [args if isinstance(args, CallResult) else next(results) for args in checked]


def normal(name: str) -> str:
    """A name as Python reads it: identifiers are compared in their normal form NFKC."""
    return unicodedata.normalize("NFKC", name)
