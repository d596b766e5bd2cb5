"""Fuzz targets, and the results that they allow."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from arena.cli.app import one_line

TIMEOUT = 20
"""Time limit of one value, in seconds."""


class Hang(BaseException):
    """A value took too long. Not an Exception, so that the program does not catch it."""


@dataclass(frozen=True)
class Place:
    """Folders of a target: `run` is a small finished run, which is not modified; `scratch` is for copies."""

    run: Path
    scratch: Path


@dataclass(frozen=True)
class Target:
    """A fuzz target: `attack` uses a value from `values`. The test suite tries `examples` values."""

    name: str
    values: st.SearchStrategy[Any]
    attack: Callable[[Place, Any], None]
    examples: int = 40
    slow: bool = False


@contextmanager
def answers(*names: str) -> Iterator[None]:
    """Check that the block succeeds or raises a one-line error, which contains one of `names` if any are given."""
    try:
        with in_time():
            yield
    except (ValueError, OSError) as error:
        said = one_line(error)
        assert str(error).strip(), f"an error without a message: {error!r}"
        assert len(said.splitlines()) == 1 and said.isprintable(), f"an error of several lines: {said[:500]!r}"
        assert not names or any(name in said for name in names), f"an error that does not name it: {said[:500]!r}"


@contextmanager
def in_time(seconds: float = TIMEOUT) -> Iterator[None]:
    def on_alarm(*_: object) -> None:
        raise Hang(f"no answer in {seconds} s")

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# -- common values -----------------------------------------------------------------------------------------------------

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, -1, 2**31, 2**63, -(2**63), 10**30, 10**400])
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["", "..", "../../x", "/etc/passwd", "a\0b", "\ud800", "nan", "1e999", "x" * 300, "{{ 1/0 }}"])
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
"""Any JSON value."""
DEEP = st.sampled_from(
    ["[" * 100_000, '{"a":' * 100_000, "[" * 3000 + "]" * 3000, "9" * 5000, '"' + "\\u0000" * 9 + '"']
)
"""JSON texts that break naive parsers."""


def damaged(data: bytes, edits: list[tuple[int, int]], end: int | None) -> bytes:
    """Change some bytes, and truncate to `end` thousandths."""
    out = bytearray(data)
    for at, value in edits:
        if out:
            out[at % len(out)] = value
    return bytes(out if end is None else out[: len(out) * end // 1000])


EDITS = st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 255)), max_size=6)
ENDS = st.none() | st.integers(0, 1000)
DAMAGE = st.tuples(EDITS, ENDS)
