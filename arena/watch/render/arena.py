"""Alarms and the summary line of the Arena screen."""

from __future__ import annotations

from rich.text import Text

from arena.phases.order import LOOP
from arena.report.metrics.heldout import middle_mean, telling
from arena.text import between, compact, number, span
from arena.watch.history import Snapshot
from arena.watch.render.base import DIM, NO_DATA
from culture.transmission import paired_interval


def alarms(s: Snapshot) -> Text:
    if s.unread:
        return Text("alarms: available once the whole run has been read", DIM)
    if not any(x.phases.issuperset(LOOP) for x in s.summaries if x.generation):
        return Text("alarms: available after the first generation", DIM)
    if not s.alarms:
        return Text("no alarms", "bold green")
    return Text("\n".join(f"! {a}" for a in s.alarms), "yellow")


def figures(s: Snapshot) -> Text:
    """Summary of the shown generation: one line, and one more for the ratchet if it was measured."""
    at = s.at
    if at is None or at.proposed is None:
        return Text(f"problems of generation {s.shown}: {NO_DATA}", DIM)
    line = f"generation {at.generation}: {compact(at.proposed)} set, {compact(at.valid)} valid"
    line += f", {compact(at.distinct)} distinct"
    return Text(f"{line}, {compact(at.learnable)} learnable, solved {number(at.solve_rate)}{skill(s)}{ratchet(s)}")


def skill(s: Snapshot) -> str:
    """The headline of the shown generation, on a separate line: held-out skill before the first generation and now, at
    the depths that can show a change; empty where either was not measured."""
    first, at = (next((x.heldout for x in s.summaries if x.generation == g), {}) for g in (0, s.shown))
    depths = telling(first, at)
    before, now = middle_mean(first, depths), middle_mean(at, depths)
    if not s.shown or before is None or now is None:
        return ""
    return f"\nheld-out {span(depths)}: {number(before)} before, {number(now)} in generation {s.shown}"


def ratchet(s: Snapshot) -> str:
    """The last ratchet measurement up to the shown generation, on a separate line; empty if there is none."""
    last = next((x for x in reversed(s.summaries) if x.ratchet), None)
    if last is None or last.ratchet is None:
        every = s.run.ratchet_every
        waits = "\nratchet: no reading yet; one waits until it costs at most measure.ratchet.share"
        return waits if every and s.shown >= every else ""
    n, own, gained, lost = last.ratchet
    r = between((gained - lost) / n, *paired_interval(gained, lost, n), sign=True)
    return f"\nratchet, generation {last.generation}: newborn {number(own / n)}, R {r}"
