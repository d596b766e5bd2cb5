"""The population table: one line an agent, with as many columns as there is room for."""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text

from arena.report.stats.ratings import Rating
from arena.text import compact, number
from arena.watch import queries
from arena.watch.history import Snapshot
from arena.watch.models import Member
from arena.watch.render.base import DIM, NO_DATA

Cell = Callable[[Member, Snapshot], str]
PLUS_MINUS = "\N{PLUS-MINUS SIGN}"
SPREAD = 110
"""Columns from which ratings and uplift come with their uncertainty."""


def population(s: Snapshot, width: int) -> tuple[tuple[str, ...], list[list[Text]]]:
    """Heads and lines of the table, padding included no wider than `width`; what says least is left out first."""
    cells = WIDE if width >= SPREAD else NARROW
    found = {head: [cell(m, s) for m in s.members] for head, cell in cells.items()}
    need = {head: max(map(len, (head, *column))) + 2 for head, column in found.items()}
    for head in FIRST_TO_GO:
        if sum(need[h] for h in found) > width:
            found.pop(head, None)
    return tuple(found), [[Text(line) for line in column] for column in zip(*found.values(), strict=True)]


def caption(s: Snapshot) -> Text:
    """What the columns mean, and who is about to go."""
    if not s.members:
        return Text(f"population: {NO_DATA}", DIM)
    line = f"set, solve, grade: ratings; solved: last {queries.RECENT} generations; enter: its life"
    leaving = [m.name for m in s.members if m.retiring]
    return Text(line + (f"\nretires now: {', '.join(leaving)}" if leaving else ""), DIM)


def _rating(role: str, spread: bool) -> Cell:
    def cell(m: Member, s: Snapshot) -> str:
        r: Rating | None = s.ratings.get(m.name, {}).get(role)
        if r is None:
            return "-"
        return f"{r.mu:.1f} {PLUS_MINUS}{2 * r.sigma:.1f}" if spread else f"{r.mu:.1f}"

    return cell


def _uplift(m: Member, s: Snapshot) -> str:
    """Of its definitions; of an author of worked examples only, their learnable offspring."""
    worth = s.worth.get(m.name)
    if worth is None:
        return "-"
    if worth.uplift is None:
        return f"{worth.offspring.learnable} bred"
    return f"{worth.uplift.difference:+.2f}"


def _uplift_spread(m: Member, s: Snapshot) -> str:
    worth = s.worth.get(m.name)
    if worth is None or worth.uplift is None:
        return "-"
    u = worth.uplift
    return f"{u.difference:+.2f} [{u.low:+.2f}, {u.high:+.2f}]"


def _pairs(m: Member, s: Snapshot) -> str:
    worth = s.worth.get(m.name)
    return compact(worth.uplift.n) if worth and worth.uplift else "-"


def _bred(m: Member, s: Snapshot) -> str:
    worth = s.worth.get(m.name)
    return f"{compact(worth.offspring.learnable)}/{compact(worth.offspring.set)}" if worth else "-"


def _earned(m: Member, s: Snapshot) -> str:
    return compact(s.earned[m.name][0]) if m.name in s.earned else "-"


def _learnable(m: Member, s: Snapshot) -> str:
    return compact(s.earned[m.name][1]) if m.name in s.earned else "-"


FIRST_TO_GO = ("pairs", "learnable", "bred", "parents", "age")
NARROW: dict[str, Cell] = {
    "name": lambda m, s: m.name,
    "age": lambda m, s: str(m.age),
    "parents": lambda m, s: ", ".join(m.parents) or "-",
    "set": _rating("setter", False),
    "solve": _rating("solver", False),
    "grade": _rating("grader", False),
    "solved": lambda m, s: number(s.solved.get(m.name)),
    "earned": _earned,
    "posts": lambda m, s: compact(s.posts.get(m.name, 0)),
    "uplift": _uplift,
}
WIDE: dict[str, Cell] = NARROW | {
    "set": _rating("setter", True),
    "solve": _rating("solver", True),
    "grade": _rating("grader", True),
    "uplift": _uplift_spread,
    "pairs": _pairs,
    "learnable": _learnable,
    "bred": _bred,
}
