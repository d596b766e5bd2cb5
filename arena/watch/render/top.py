"""The two lines above every screen: which run and generation are shown, and the phase at work."""

from __future__ import annotations

from rich.text import Text

from arena.phases.order import LOOP
from arena.text import duration
from arena.watch.history import Snapshot
from arena.watch.queries.base import safe
from arena.watch.render.base import DIM, HEAD

ASKED = {"paused": "PAUSED", "pausing": "pausing after this phase", "stopping": "stopping after this generation"}


def top(s: Snapshot, quiet: float, width: int, state: str = "running", limit: str | None = None) -> Text:
    """Two lines: which run and generation are shown, and the phase at work.

    `quiet`: seconds since something ended; `state`: what the run's process is at, `limit`: what it stopped at
    (`arena.watch.commands.Standing`).
    """
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{safe(s.run.name)}", HEAD)
    line.append(f"  generation {s.shown} of {s.run.planned}")
    if state in ASKED:
        line.append("  ").append(ASKED[state], "bold reverse")
    if not s.live:
        line.append(f"  STEPPED BACK from {s.latest}; l: live", "bold reverse")
    elif s.unread:
        line.append(f"  reading, {s.unread} generations to go", DIM)
    elif s.finished:
        line.append("  finished", "green")
    elif state == "idle":
        line.append(f"  stopped: {safe(limit)}" if limit else "  no process plays it", "yellow")
    elif state not in ASKED:
        line.append("  live", "green")
    return line.append("\n").append(phase_line(s, quiet, width, state))


def phase_line(s: Snapshot, quiet: float, width: int, state: str = "running") -> Text:
    if not s.started:
        return Text("nothing has been played yet", DIM)
    assert s.last is not None
    generation, phase = s.last
    if s.finished:
        return Text(f"last phase: {phase} of generation {generation}", DIM)
    at = generation + 1 if s.coming == LOOP[0] else generation
    if state == "paused":
        return Text(f"next: {s.coming} of generation {at}; last finished: {phase}; P: go on", DIM)
    if state == "idle":
        return Text(f"next: {s.coming} of generation {at}; continue with `resume`", DIM)
    usual = f", usually {duration(s.usual)}" if s.usual else ""
    if quiet > max(60.0, 10 * (s.usual or 0.0)):
        return Text(
            f"quiet for {duration(quiet)} in {s.coming} of generation {at}{usual}; was it interrupted?", "yellow"
        )
    line = Text(no_wrap=True, overflow="ellipsis")
    if s.coming in LOOP and width >= 100:
        for name in LOOP:
            now, past = name == s.coming, LOOP.index(name) < LOOP.index(s.coming)
            line.append(f"[{name}]" if now else name, "bold reverse" if now else "green" if past else DIM).append(" ")
        return line.append(f"of generation {at}, {duration(quiet)}{usual}", DIM)
    return line.append(f"{s.coming} of generation {at} at work, {duration(quiet)}{usual}; last finished: {phase}", DIM)
