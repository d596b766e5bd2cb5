"""The two lines above every screen: the run and generation shown, and the current phase."""

from __future__ import annotations

from rich.text import Text

from arena.config.shipped import typed_command
from arena.phases.order import LOOP
from arena.text import count, duration
from arena.watch.history import Snapshot
from arena.watch.queries.base import safe
from arena.watch.render.base import DIM, HEAD

STATE_TEXT = {
    "reviewing": "WAITING FOR REVIEW",
    "paused": "PAUSED",
    "pausing": "pausing after this phase",
    "stopping": "stopping after this generation",
}


def top(s: Snapshot, quiet: float, width: int, state: str = "running", limit: str | None = None) -> Text:
    """Two lines: the run and generation shown, and the current phase.

    Args:
        s: the snapshot that is shown.
        quiet: seconds since a phase finished.
        width: columns of the screen.
        state: state of the run (`arena.watch.commands.RunStatus.state`).
        limit: the budget limit at which the run stopped.
    """
    if s.run.waits and s.waiting.left and state == "running" and s.next_phase == LOOP[0]:
        state = "reviewing"
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{safe(s.run.name)}", HEAD)
    line.append(f"  generation {s.shown} of {s.run.planned}")
    if state in STATE_TEXT:
        line.append("  ").append(STATE_TEXT[state], "bold reverse")
    if not s.live:
        line.append(f"  STEPPED BACK from {s.latest}; l: live", "bold reverse")
    elif s.unread:
        line.append(f"  reading, {s.unread} generations left", DIM)
    elif s.finished:
        line.append("  finished", "green")
    elif state == "idle":
        line.append(f"  stopped: {safe(limit)}" if limit else "  not running", "yellow")
    elif state not in STATE_TEXT:
        line.append("  live", "green")
    return line.append("\n").append(phase_line(s, quiet, width, state))


def phase_line(s: Snapshot, quiet: float, width: int, state: str = "running") -> Text:
    if not s.started:
        return Text("no phase has run yet", DIM)
    assert s.last is not None
    generation, phase = s.last
    if s.finished:
        return Text(f"last phase: {phase} of generation {generation}", DIM)
    at = generation + 1 if s.next_phase == LOOP[0] else generation
    if state == "reviewing":
        return Text(f"{count(s.waiting.left, 'post')} to decide before generation {at} begins; 5: review", DIM)
    if state == "paused":
        return Text(f"next: {s.next_phase} of generation {at}; last finished: {phase}; P: resume", DIM)
    if state == "idle":
        return Text(
            f"next: {s.next_phase} of generation {at}; to continue: {typed_command('resume', s.run.folder)}", DIM
        )
    usual = f", usually {duration(s.typical_seconds)}" if s.typical_seconds else ""
    if quiet > max(60.0, 10 * (s.typical_seconds or 0.0)):
        return Text(
            f"quiet for {duration(quiet)} in {s.next_phase} of generation {at}{usual}; was it interrupted?", "yellow"
        )
    line = Text(no_wrap=True, overflow="ellipsis")
    if s.next_phase in LOOP and width >= 100:
        for name in LOOP:
            now, past = name == s.next_phase, LOOP.index(name) < LOOP.index(s.next_phase)
            line.append(f"[{name}]" if now else name, "bold reverse" if now else "green" if past else DIM).append(" ")
        return line.append(f"of generation {at}, {duration(quiet)}{usual}", DIM)
    return line.append(
        f"{s.next_phase} of generation {at} at work, {duration(quiet)}{usual}; last finished: {phase}", DIM
    )
