"""Alarms, figures and plots of the Arena screen."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from arena.report.analysis import LOOP
from arena.report.tables import count, rate
from arena.watch.history import Snapshot
from arena.watch.progress import GROUPS
from arena.watch.texts.base import DIM, NO_DATA, labelled_strip


def alarms(s: Snapshot) -> Text:
    if s.unread:
        return Text("alarms: after everything has been read", DIM)
    if not any(x.phases.issuperset(LOOP) for x in s.summaries if x.generation):
        return Text("alarms: none before a whole generation is played", DIM)
    if not s.alarms:
        return Text("no alarms", "bold green")
    return Text("\n".join(f"! {a}" for a in s.alarms), "yellow")


def figures(s: Snapshot) -> Text:
    """The shown generation in one line."""
    at = s.at
    if at is None or at.proposed is None:
        return Text(f"problems of generation {s.shown}: {NO_DATA}", DIM)
    line = (
        f"generation {at.generation}: {count(at.proposed)} set, {count(at.valid)} valid, {count(at.distinct)} distinct"
    )
    return Text(f"{line}, {count(at.learnable)} learnable, solved {rate(at.solve_rate)}")


def plots(s: Snapshot, width: int, height: int) -> Text:
    """Strips over generations: held-out rates by depth, then what was set and solved."""
    held: list[tuple[str, list[float | None], float]] = []
    for name, depths in GROUPS:
        values = [_mean([x.heldout[d] for d in depths if d in x.heldout]) for x in s.summaries]
        if any(v is not None for v in values):
            held.append((f"depth {name}", values, 1.0))
    depth = [x.depth for x in s.summaries]
    most = max((d for d in depth if d is not None), default=0.0)
    made: list[tuple[str, list[float | None], float]] = []
    if most:
        made.append(("depth set", depth, max(most, 8.0)))
    rates = [x.solve_rate for x in s.summaries]
    if any(r is not None for r in rates):
        made.append(("solve rate", rates, 1.0))
    if not held and not made:
        return Text(f"plots: {NO_DATA}", DIM)
    first, last = s.summaries[0].generation, s.summaries[-1].generation
    rows = len(held) + len(made)
    titles = bool(held) + bool(made)
    each = min(max((height - titles) // max(rows, 1), 1), 5)
    out = Text(no_wrap=True)
    for title, series in (
        (f"held-out pass rate by depth, generations {first} to {last}", held),
        (f"mean depth set, of {made[0][2] if made else 8:.0f}, and solve rate", made),
    ):
        if series:
            out.append(f"{title}\n", DIM)
        for label, values, high in series:
            out.append(labelled_strip(label, values, width, each, high))
    out.right_crop(1)
    return out


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
