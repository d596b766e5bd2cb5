"""The cost of a verdict: small programs run in each sandbox and, for comparison, in a new Python process each.

A verdict is one call of a program with one argument, whose value is returned and compared. A turn of a side is a number
of verdicts; its processes end within the turn, so that their processor time, starting included, is known and counted.
Wall time is given too. Ratios are taken within a turn.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from curricula.sandbox import Limits, Sandbox
from curricula.sandbox_monty import Monty
from curricula.sandbox_subprocess import Subprocess

RATE = 4000.0
"""Target: verdicts a processor second."""
PROGRAMS: tuple[tuple[str, Any, Any], ...] = (
    ("def f(xs):\n    out = []\n    for i, x in enumerate(xs):\n        out.append(x * i if x % 2 == 0 else x - i)\n"
     "    return sorted(out)[::-1]", [3, 1, 4, 1, 5, 9, 2, 6], [42, 12, 8, 4, 3, 1, 0, -2]),
    ("def f(text):\n    counts = {}\n    for word in text.split():\n        counts[word] = counts.get(word, 0) + 1\n"
     "    return counts", "a b a c b a", {"a": 3, "b": 2, "c": 1}),
    ("def f(n):\n    found = []\n    for i in range(2, n):\n        if all(i % p for p in found):\n"
     "            found.append(i)\n    return found", 20, [2, 3, 5, 7, 11, 13, 17, 19]),
    ("import math\ndef f(pair):\n    a, b = pair\n    return (math.gcd(a, b), a * b // math.gcd(a, b))",
     (12, 18), (6, 36)),
    ("def f(text):\n    return ''.join(c.upper() if i % 2 else c for i, c in enumerate(reversed(text)))",
     "ratchet", "tEhCtAr"),
    ("def f(n):\n    return n if n < 2 else f(n - 1) + f(n - 2)", 8, 21),
    ("def f(rows):\n    return [list(row) for row in zip(*rows)]", [[1, 2], [3, 4], [5, 6]], [[1, 3, 5], [2, 4, 6]]),
    ("def f(xs):\n    seen = set()\n    return [x for x in xs if not (x in seen or seen.add(x))]",
     [1, 2, 1, 3, 2], [1, 2, 3]),
)  # fmt: skip
"""A program, an argument, and the value."""
OPEN = "import json\n"
"""An import with which the default sandbox gives each call its own session."""
FRESH = "import sys\nspace = {}\nexec(sys.argv[1], space)\nprint(repr(space['f'](eval(sys.argv[2]))))"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Planned:
    """A side: verdicts a turn, in calls of `together` arguments for one program."""

    name: str
    verdicts: int
    together: int
    open: Callable[[], Sandbox] | None
    head: str = ""


SIDES = (
    Planned("monty", 2000, 1, lambda: Monty(Limits())),
    Planned("monty, 10 calls together", 4000, 10, lambda: Monty(Limits())),
    Planned("monty, a session each", 1000, 1, lambda: Monty(Limits()), OPEN),
    Planned("subprocess", 24, 1, lambda: Subprocess(Limits())),
    Planned("subprocess, 10 calls together", 80, 10, lambda: Subprocess(Limits())),
    Planned("a fresh Python each", 24, 1, None),
)
PEER = SIDES[-1].name


def measure(repeats: int, quick: bool, say: Say, sides: Sequence[Planned] = SIDES) -> dict[str, Any]:
    """Measure and print all sides in turns, and return them as `--json` stores them."""
    say(f"sandbox: {len(PROGRAMS)} programs, a verdict each in turn; rates are verdicts a processor second")
    turns: dict[str, list[tuple[float, float]]] = {side.name: [] for side in sides}
    for turn in range(1 + (1 if quick else repeats)):
        for side in sides:
            rates = take(side, side.verdicts // 20 if quick else side.verdicts)
            if turn:  # the first is a warm-up
                turns[side.name].append(rates)
    found = []
    for side in sides:
        cpu, wall = zip(*turns[side.name], strict=True)
        ratios = [mine / theirs for (mine, _), (theirs, _) in zip(turns[side.name], turns[PEER], strict=True)]
        found.append({
            "side": side.name, "rate": statistics.median(cpu), "least": min(cpu), "most": max(cpu),
            "rate_wall": statistics.median(wall), "ratio": statistics.median(ratios),
        })  # fmt: skip
        say(
            f"  {side.name:<30} {statistics.median(cpu):>8,.0f} ({min(cpu):,.0f} to {max(cpu):,.0f})"
            f"  {statistics.median(wall):>8,.0f} a second  {statistics.median(ratios):>7.1f} x a fresh Python"
        )
    met = found[0]["rate"] >= RATE
    say(f"  target: {RATE:,.0f} verdicts a processor second, one at a time: {found[0]['rate']:,.0f},"
        f" {'reached' if met else 'MISSED'}")  # fmt: skip
    return {"sides": found, "aimed": {"rate": RATE}, "met": met}


def take(side: Planned, verdicts: int) -> tuple[float, float]:
    """One turn: verdicts a processor second, and verdicts a wall second."""
    rounds = max(verdicts // side.together, 1)
    if side.open is None:
        began, cpu = time.perf_counter(), used()
        for i in range(rounds):
            program, argument, value = PROGRAMS[i % len(PROGRAMS)]
            assert fresh(program, argument) == repr(value), program
    else:
        sandbox = side.open()
        began, cpu = time.perf_counter(), used()
        for i in range(rounds):
            program, argument, value = PROGRAMS[i % len(PROGRAMS)]
            for ran in sandbox.call(side.head + program, "f", [(argument,)] * side.together):
                assert ran.ok and ran.value == value, (program, ran)
        sandbox.close()
    count = rounds * side.together
    return count / (used() - cpu), count / (time.perf_counter() - began)


def fresh(program: str, argument: Any) -> str:
    """One verdict in a new Python process without any protection: the least that a process a verdict costs."""
    command = [sys.executable, "-I", "-S", "-c", FRESH, program, repr(argument)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def used() -> float:
    """Processor seconds of this process and of its ended children."""
    own, theirs = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + theirs.ru_utime + theirs.ru_stime
