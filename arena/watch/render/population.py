"""The population table: one line per agent, with as many columns as fit."""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text

from arena.report.stats.ratings import Rating
from arena.text import compact, number
from arena.watch import queries
from arena.watch.history import Snapshot
from arena.watch.models import Member
from arena.watch.queries.base import safe
from arena.watch.render.base import DIM, NO_DATA

Cell = Callable[[Member, Snapshot], str]
PLUS_MINUS = "\N{PLUS-MINUS SIGN}"
SPREAD = 110
"""Minimum width, in columns, at which ratings and uplift are shown with their uncertainty."""


def population(s: Snapshot, width: int) -> tuple[tuple[str, ...], list[list[Text]]]:
    """Headings and rows of the table, at most `width` columns wide; the least important columns are left out first."""
    cells = WIDE if width >= SPREAD else NARROW
    found = {head: [cell(m, s) for m in s.members] for head, cell in cells.items()}
    if not any(m.model for m in s.members):
        del found["model"]
    need = {head: max(map(len, (head, *column))) + 2 for head, column in found.items()}
    for head in LEAST_IMPORTANT:
        if sum(need[h] for h in found) > width:
            found.pop(head, None)
    return tuple(found), [[Text(line) for line in column] for column in zip(*found.values(), strict=True)]


def caption(s: Snapshot) -> Text:
    """The meaning of the columns, and the agents that retire in this generation."""
    if not s.members:
        return Text(f"population: {NO_DATA}", DIM)
    line = f"set, solve, grade: ratings; solved: last {queries.RECENT} generations; enter: show agent"
    retiring = [m.name for m in s.members if m.retiring]
    return Text(line + (f"\nretiring: {', '.join(retiring)}" if retiring else ""), DIM)


def _rating(role: str, spread: bool) -> Cell:
    def cell(m: Member, s: Snapshot) -> str:
        r: Rating | None = s.ratings.get(m.name, {}).get(role)
        if r is None:
            return "-"
        return f"{r.mu:.1f} {PLUS_MINUS}{2 * r.sigma:.1f}" if spread else f"{r.mu:.1f}"

    return cell


def _uplift(m: Member, s: Snapshot) -> str:
    """Uplift of its definitions; without one, the learnable offspring of its posts."""
    score = s.post_scores.get(m.name)
    if score is None:
        return "-"
    if score.uplift is None:
        return f"{score.offspring.learnable} offspring"
    return f"{score.uplift.difference:+.2f}"


def _uplift_spread(m: Member, s: Snapshot) -> str:
    score = s.post_scores.get(m.name)
    if score is None or score.uplift is None:
        return "-"
    u = score.uplift
    return f"{u.difference:+.2f} [{u.low:+.2f}, {u.high:+.2f}]"


def _pairs(m: Member, s: Snapshot) -> str:
    score = s.post_scores.get(m.name)
    return compact(score.uplift.n) if score and score.uplift else "-"


def _offspring(m: Member, s: Snapshot) -> str:
    score = s.post_scores.get(m.name)
    return f"{compact(score.offspring.learnable)}/{compact(score.offspring.set)}" if score else "-"


def _earned(m: Member, s: Snapshot) -> str:
    return compact(s.earned[m.name][0]) if m.name in s.earned else "-"


def _learnable(m: Member, s: Snapshot) -> str:
    return compact(s.earned[m.name][1]) if m.name in s.earned else "-"


LEAST_IMPORTANT = ("pairs", "learnable", "offspring", "parents", "age")
NARROW: dict[str, Cell] = {
    "name": lambda m, s: m.name,
    "model": lambda m, s: safe(m.model) or "-",
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
    "offspring": _offspring,
}
