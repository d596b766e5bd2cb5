"""What a target is, and what it may come to."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from arena.cli.app import one_line

PATIENCE = 20
"""Seconds that one value may take."""


class Hang(BaseException):
    """A value took too long. Not an Exception: nothing in the program may catch it."""


@dataclass(frozen=True)
class Place:
    """Where is played: `run` is the folder of a small finished run, which stays as it is; `scratch` one for copies."""

    run: Path
    scratch: Path


@dataclass(frozen=True)
class Target:
    """`attack` uses a value that `values` made; `examples` of them in the suite, where `slow` ones are marked so."""

    name: str
    values: st.SearchStrategy[Any]
    attack: Callable[[Place, Any], None]
    examples: int = 40
    slow: bool = False


@contextmanager
def answers(*names: str) -> Iterator[None]:
    """A value, or one clear line of error, which names one of `names` if there are some."""
    try:
        with in_time():
            yield
    except (ValueError, OSError) as error:
        said = one_line(error)
        assert str(error).strip(), f"an error without a word: {error!r}"
        assert len(said.splitlines()) == 1 and said.isprintable(), f"an error of several lines: {said[:500]!r}"
        assert not names or any(name in said for name in names), f"an error that does not name it: {said[:500]!r}"


@contextmanager
def in_time(seconds: float = PATIENCE) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise Hang(f"no answer in {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# -- values that come up everywhere ------------------------------------------------------------------------------------

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
"""Anything that JSON has a word for."""
DEEP = st.sampled_from(
    ["[" * 100_000, '{"a":' * 100_000, "[" * 3000 + "]" * 3000, "9" * 5000, '"' + "\\u0000" * 9 + '"']
)
"""Texts of JSON that parsers stumble over."""


def damaged(data: bytes, edits: list[tuple[int, int]], end: int | None) -> bytes:
    """Bytes with some of them set to others, and cut off at `end` thousandths."""
    out = bytearray(data)
    for at, value in edits:
        if out:
            out[at % len(out)] = value
    return bytes(out if end is None else out[: len(out) * end // 1000])


EDITS = st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 255)), max_size=6)
ENDS = st.none() | st.integers(0, 1000)
DAMAGE = st.tuples(EDITS, ENDS)
