"""The killer: starts players, follows their events, and ends them with SIGKILL at the planned moments."""

from __future__ import annotations

import os
import random
import select
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from arena.tools.chaos.events import OPENING, WAITS, Track, lines_of
from arena.tools.chaos.plan import Aim, Timing, aim
from arena.tools.chaos.player import fork_player

SPIN = 0.001
"""The killer busy-waits for the last seconds before a kill, because sleep is less precise."""
STUCK = 600.0
"""Seconds without an event after which a player is given up."""


@dataclass
class Tally:
    """Counts over all players so far."""

    kills: Counter[tuple[str, str]] = field(default_factory=Counter)  # by phase and place
    resumes: int = 0
    runs: int = 0
    phases_lost: int = 0  # stored phases that were played again
    reported: set[str] = field(default_factory=set)  # ids of posts that a player reported as stored, in this run

    @property
    def killed(self) -> int:
        return sum(self.kills.values())

    def by_phase(self) -> dict[str, int]:
        found: Counter[str] = Counter()
        for (phase, _), n in self.kills.items():
            found[phase] += n
        return dict(found)


class Player:
    """One player process, seen by its killer."""

    def __init__(self, config: str, folder: Path) -> None:
        self.log = folder.parent / f"{folder.name}.log"
        self.began = time.monotonic()
        self.process, self.pipe, self.signs = fork_player(config, folder, self.log)
        self.track = Track()
        self._lines, self._rest, self._open = deque[str](), b"", True

    def events(self, wait: float = STUCK) -> Iterator[str]:
        """Kinds of events as they arrive, until the player ends. Raises OSError after `wait` seconds without one."""
        while self._open or self._lines:
            while self._lines:
                kind = self.track.take(self._lines.popleft())
                if kind in WAITS:
                    with suppress(BrokenPipeError):  # it was killed meanwhile
                        os.write(self.signs, b".")
                yield kind
            if self._open:
                if not select.select([self.pipe], [], [], wait)[0]:
                    raise OSError(f"process {self.process} has reported nothing for {wait:g} s; its log is {self.log}")
                data = os.read(self.pipe, 65536)
                self._open = bool(data)
                lines, self._rest = lines_of(self._rest + data)
                self._lines.extend(lines)

    def kill_at(self, moment: float) -> None:
        """Send SIGKILL at a time of the monotonic clock, then read the remaining events."""
        time.sleep(max(0.0, moment - time.monotonic() - SPIN))
        while time.monotonic() < moment:
            pass
        os.kill(self.process, signal.SIGKILL)  # it was not waited for yet, so the process id is still valid
        for _ in self.events():
            pass

    def end(self) -> bool:
        """Wait for the player; returns whether it was killed. Raises OSError, with its last line, if it failed by
        itself."""
        os.close(self.pipe)
        os.close(self.signs)
        _, status = os.waitpid(self.process, 0)
        self.process = 0
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            return True
        if status:
            words = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no word"]
            raise OSError(f"a player failed by itself ({words[-1]}); its log is {self.log}")
        return False

    def __enter__(self) -> Player:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process:
            os.kill(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)


def undisturbed(config: str, folder: Path) -> tuple[dict[tuple[int, str], Timing], float]:
    """Play an undisturbed run; returns the timing of its phases, and the seconds until it was made."""
    timings: dict[tuple[int, str], Timing] = {}
    opening = 0.0
    with Player(config, folder) as player:
        began = stored = commits = time.monotonic()
        renames = 0
        for kind in player.events():
            now, track = time.monotonic(), player.track
            if kind == "phase":
                began = stored = commits = now
                renames = 0
            elif kind == "made":
                opening = now - player.began
            elif kind == "begin":
                stored = commits = now
            elif kind == "commit":
                commits = now
            elif kind == "rename":
                renames += track.place == "renaming"
            elif kind == "done":
                timings[track.stored[-1]] = Timing(stored - began, commits - stored, now - commits, renames)
        player.end()
    return timings, opening


def hunt(
    config: str,
    folder: Path,
    rng: random.Random,
    timings: dict[tuple[int, str], Timing],
    opening: float,
    tally: Tally,
    most: int,
    report: Callable[[Tally], None],
) -> None:
    """Play one run to its end and kill every player except the last, until `tally` has `most` kills."""
    order, stored = list(timings), set[tuple[int, str]]()
    tally.reported.clear()
    first, over = True, False
    while True:
        ahead = [at for at in order if at not in stored]
        over = over or tally.killed >= most
        target = None if over else aim(rng, ahead, timings, tally.by_phase(), opening)
        over = len(ahead) <= 1  # one kill in the last phase, then the run may end
        with Player(config, folder) as player:
            opening = _follow(player, target) or opening
            killed = player.end()
            track = player.track
        tally.resumes += not first and track.opened
        tally.phases_lost += len(stored & set(track.played))
        stored |= set(track.stored)
        tally.reported |= set(track.posts)
        first = False
        if killed:
            tally.kills[track.phase, track.place] += 1
            report(tally)
        elif track.ended:
            tally.runs += 1
            return


def _follow(player: Player, target: Aim | None) -> float:
    """Follow a player until it ends or its kill is due; returns the seconds it took to open the run."""
    opened, renames = 0.0, 0
    if target and target.moment == OPENING:
        player.kill_at(player.began + target.delay)
        return opened
    for kind in player.events():
        now, track = time.monotonic(), player.track
        if kind == "made":
            opened = now - player.began
        if target is None or (track.generation, track.phase) != (target.generation, target.phase):
            continue
        renames = 0 if kind == "phase" else renames + (kind == "rename")
        hit = {"playing": "phase", "storing": "begin", "committing": "commit", "renaming": "rename"}[target.moment]
        late = kind == "commit"  # files that exist already are not renamed again
        if late or (kind == hit and (kind != "rename" or renames == target.which + 1)):
            player.kill_at(now + target.delay)
    return opened
