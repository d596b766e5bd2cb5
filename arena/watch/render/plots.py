"""The plots of the Arena screen: strips over all generations, filled from the left while the run is played.

If the screen is too low, the titles are left out first, then the least important strips.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.text import Text

from arena.watch.history import Snapshot
from arena.watch.live import depth_groups
from arena.watch.models import GenerationSummary
from arena.watch.render.base import DIM, NO_DATA, labelled_strip

MAX_LINES = 4
"""Maximum lines of a strip."""
LEAST_IMPORTANT = ("behaviours", "held-out 1-2", "depth solved", "held-out 7-8", "held-out 3", "distinct", "held-out 4")


@dataclass(frozen=True)
class Strip:
    label: str
    values: tuple[float | None, ...]
    high: float = 1.0


def plots(s: Snapshot, width: int, height: int) -> Text:
    """Held-out pass rates by depth, difficulty set and solved, and diversity, in at most `height` lines."""
    groups = [(title, found) for title, make in GROUPS_OF_STRIPS if (found := make(s))]
    strips = [strip for _, found in groups for strip in found]
    if not strips or height < 1:
        return Text(f"plots: {NO_DATA}", DIM)
    titled = height >= len(strips) + len(groups)
    each, more = divmod(height - len(groups), len(strips)) if titled else (1, 0)
    drawn = 0
    hidden = 0
    for label in LEAST_IMPORTANT:
        if len(strips) - hidden + bool(hidden) <= height:
            break
        groups = [(title, [x for x in found if x.label != label]) for title, found in groups]
        hidden = len(strips) - sum(len(found) for _, found in groups)
    out = Text(no_wrap=True)
    for title, found in groups:
        if titled:
            out.append(f"{title.format(latest=s.latest)}\n", DIM)
        for strip in found:
            lines = min(each + (drawn < more), MAX_LINES)
            out.append(labelled_strip(strip.label, strip.values, width, lines, strip.high))
            drawn += 1
    if hidden:
        out.append(f"{hidden} more in a taller window\n", DIM)
    out.right_crop(1)
    return out


def _over(s: Snapshot, value: Callable[[GenerationSummary], float | None]) -> tuple[float | None, ...]:
    """A figure by generation, from 0 to the latest; None where it is unknown or later than the shown generation."""
    by = {x.generation: x for x in s.summaries}
    return tuple(value(by[g]) if g in by else None for g in range(s.latest + 1))


def _held_out(s: Snapshot) -> list[Strip]:
    found = []
    for name, depths in depth_groups(d for x in s.summaries for d in x.heldout):
        values = _over(s, lambda x, depths=depths: _mean([x.heldout[d] for d in depths if d in x.heldout]))  # type: ignore[misc]
        found.append(Strip(f"held-out {name}", values))
    return _known(found)


def _set_and_solved(s: Snapshot) -> list[Strip]:
    made, solved = _over(s, lambda x: x.depth), _over(s, lambda x: x.depth_solved)
    most = max([8.0, *(d for d in (*made, *solved) if d is not None)])
    rates = _over(s, lambda x: x.solve_rate)
    return _known([Strip("depth set", made, most), Strip("depth solved", solved, most), Strip("solve rate", rates)])


def _diversity(s: Snapshot) -> list[Strip]:
    share = _over(s, lambda x: x.distinct / x.valid if x.distinct is not None and x.valid else None)
    kinds = _over(s, lambda x: x.behaviours)
    most = max([1.0, *(k for k in kinds if k is not None)])
    return _known([Strip("distinct", share), Strip("behaviours", kinds, most)])


GROUPS_OF_STRIPS: tuple[tuple[str, Callable[[Snapshot], list[Strip]]], ...] = (
    ("held-out pass rate by depth, 0 to 1, generations 0 to {latest}", _held_out),
    ("difficulty: mean depth set and solved; share of attempts solved", _set_and_solved),
    ("diversity: share of distinct problems; effective behaviours", _diversity),
)


def _known(strips: Sequence[Strip]) -> list[Strip]:
    return [s for s in strips if any(v is not None for v in s.values)]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
