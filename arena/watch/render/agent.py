"""Text of the Agent screen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich.text import Text

from arena.report.stats.ratings import ROLES, Rating
from arena.text import compact, number
from arena.watch.models import AgentDetail, PaidProblem
from arena.watch.queries.base import safe
from arena.watch.render.base import DIM, HEAD, NO_DATA, labelled_strip, line
from arena.watch.render.post import gist

RatingHistory = Mapping[str, Sequence[tuple[int, Rating]]]
"""(generation, rating) by role, the oldest first."""


def agent_text(
    agent: AgentDetail, ratings: RatingHistory, best: Sequence[PaidProblem], worst: Sequence[PaidProblem], width: int
) -> Text:
    """One agent: family, ratings, rewards, its best-paid and worst-paid problems, what it read and its readers."""
    out = Text()
    until = f", retired after generation {agent.retired}" if agent.retired is not None else ", active"
    out.append(agent.name, HEAD).append(f"  born in generation {agent.born}{until}, inherited {agent.inherited}\n")
    if agent.model:
        out.append("model      ", DIM).append(f"{safe(agent.model)}\n")
    out.append("parents    ", DIM).append(f"{', '.join(agent.parents) or 'none'}\n")
    out.append("children   ", DIM).append(f"{', '.join(agent.children) or 'none'}\n")
    out.append("posts      ", DIM).append(f"{agent.posts}\n\n")
    out.append(_ratings(ratings, width)).append("\n").append(_rewards(agent, width))
    for title, rows in (("best-paid problems it set", best), ("worst-paid problems it set", worst)):
        out.append(f"\n{title}\n", DIM)
        for r in rows:
            solved = f"solved {number(r.solve_rate)}" if r.solve_rate is not None else safe(r.reason)
            out.append(f"  {r.paid:5.2f}  gen {r.generation:<4} {safe(r.text) or '(empty)'}  ").append(
                f"{solved}\n", DIM
            )
        if not rows:
            out.append(f"  {NO_DATA}\n")
    out.append("\nposts it read most often\n", DIM)
    for p, n in agent.most_read:
        out.append(f"  {compact(n):>5} x {p.kind.replace('_', ' ')} by {p.author}: {line(gist(p))}\n")
    if not agent.most_read:
        out.append(f"  {NO_DATA}\n")
    out.append("\nreaders of its posts\n", DIM)
    out.append(f"  {', '.join(f'{a} {compact(n)}' for a, n in agent.readers) or NO_DATA}\n")
    return out


def _ratings(ratings: RatingHistory, width: int) -> Text:
    """One strip per role, all on the same scale; first and last value with two standard deviations."""
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
    note = f"  scale: {low} to {high}; initial rating 25; \N{PLUS-MINUS SIGN}: two standard deviations\n"
    return out.append(note, DIM)


def _spread(r: Rating) -> str:
    return f"{r.mu:.1f} \N{PLUS-MINUS SIGN}{2 * r.sigma:.1f}"


def _rewards(agent: AgentDetail, width: int) -> Text:
    out = Text().append("mean reward per act in each generation\n", DIM)
    found = [role for role in ROLES if role in agent.rewards]
    for role in found:
        by = agent.rewards[role]
        first, last = min(by), max(by)
        values = [by[g][0] if g in by else None for g in range(first, last + 1)]
        low, high = min(0.0, *(v for v in values if v is not None)), max(1.0, *(v for v in values if v is not None))
        out.append(labelled_strip(role, values, width, 2, high, low))
    return out if found else out.append(f"  {NO_DATA}\n")
