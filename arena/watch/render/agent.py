"""One agent's life in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich.text import Text

from arena.report.stats.ratings import ROLES, Rating
from arena.text import compact, number
from arena.watch.models import Life, SetRow
from arena.watch.queries.base import safe
from arena.watch.render.base import DIM, HEAD, NO_DATA, labelled_strip, line
from arena.watch.render.post import gist

History = Mapping[str, Sequence[tuple[int, Rating]]]


def life_text(life: Life, ratings: History, best: Sequence[SetRow], worst: Sequence[SetRow], width: int) -> Text:
    """`ratings` by role, oldest first."""
    out = Text()
    until = f", retired after generation {life.retired}" if life.retired is not None else ", alive"
    out.append(life.name, HEAD).append(f"  born in generation {life.born}{until}, inherited {life.inherited}\n")
    out.append("parents    ", DIM).append(f"{', '.join(life.parents) or 'none'}\n")
    out.append("children   ", DIM).append(f"{', '.join(life.children) or 'none'}\n")
    out.append("posts      ", DIM).append(f"{life.posts}\n\n")
    out.append(_ratings(ratings, width)).append("\n").append(_rewards(life, width))
    for title, rows in (("best-paid problems it set", best), ("worst-paid problems it set", worst)):
        out.append(f"\n{title}\n", DIM)
        for r in rows:
            solved = f"solved {number(r.solve_rate)}" if r.solve_rate is not None else safe(r.reason)
            out.append(f"  {r.paid:5.2f}  gen {r.generation:<4} {safe(r.text) or '(empty)'}  ").append(
                f"{solved}\n", DIM
            )
        if not rows:
            out.append(f"  {NO_DATA}\n")
    out.append("\nread most\n", DIM)
    for p, n in life.most_read:
        out.append(f"  {compact(n):>5} x {p.kind.replace('_', ' ')} by {p.author}: {line(gist(p))}\n")
    if not life.most_read:
        out.append(f"  {NO_DATA}\n")
    out.append("\nwho reads it\n", DIM)
    out.append(f"  {', '.join(f'{a} {compact(n)}' for a, n in life.readers) or NO_DATA}\n")
    return out


def _ratings(ratings: History, width: int) -> Text:
    """A strip a role, all of them over the same scale; first and last value with twice their standard deviation."""
    out = Text().append("rating after each generation\n", DIM)
    found = {role: history for role in ROLES if (history := ratings.get(role))}
    if not found:
        return out.append(f"  {NO_DATA}\n")
    means = [r.mu for history in found.values() for _, r in history]
    low, high = math.floor(min(25.0, *means)), math.ceil(max(25.0, *means))
    first, last = min(h[0][0] for h in found.values()), max(h[-1][0] for h in found.values())
    for role, history in found.items():
        by = {g: r.mu for g, r in history}
        values = [by.get(g) for g in range(first, last + 1)]
        ends = f"{_spread(history[0][1])} to {_spread(history[-1][1])}"
        out.append(labelled_strip(role, values, width, 2, high, low, ends))
    words = f"  drawn from {low} to {high}; all begin at 25; \N{PLUS-MINUS SIGN} twice the standard deviation\n"
    return out.append(words, DIM)


def _spread(r: Rating) -> str:
    return f"{r.mu:.1f} \N{PLUS-MINUS SIGN}{2 * r.sigma:.1f}"


def _rewards(life: Life, width: int) -> Text:
    out = Text().append("mean reward an act by generation\n", DIM)
    found = [role for role in ROLES if role in life.rewards]
    for role in found:
        by = life.rewards[role]
        first, last = min(by), max(by)
        values = [by[g][0] if g in by else None for g in range(first, last + 1)]
        low, high = min(0.0, *(v for v in values if v is not None)), max(1.0, *(v for v in values if v is not None))
        out.append(labelled_strip(role, values, width, 2, high, low))
    return out if found else out.append(f"  {NO_DATA}\n")
