"""`run --watch` and `resume --watch`: a run in a process of its own, and the watcher on it.

The run is a session of its own, so that neither closing the watcher nor its terminal ends it; what it would print goes
to `run.log` in its folder. Only the process that was started here is ever signalled, and only if the user interrupts
before the screens are open.

Left out: stopping a run from the screens. Not guaranteed: that a run that goes on is well; `run.log` says.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from arena.config.shipped import PROGRAM, typed_command
from arena.watch.commands import is_held
from arena.watch.queries import open_run

LINES = 15
"""Last lines of a failed run's log that are shown."""
LOOK_EVERY = 0.1


@dataclass
class Player:
    """A run that was started here."""

    process: subprocess.Popen[bytes]
    folder: Path
    began: int = 0
    """Where in the log its own lines begin."""

    @property
    def log(self) -> Path:
        return self.folder / "run.log"

    @staticmethod
    def start(command: Sequence[str], folder: Path) -> Player:
        """Start the program with `command` and `--quiet` for the run in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "run.log").open("ab") as log:
            began = log.tell()
            process = subprocess.Popen(
                [sys.executable, str(PROGRAM), *command, "--quiet"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | {"PYTHONUNBUFFERED": "1", "RATCHET_COMMAND": typed_command()},
                start_new_session=True,
            )
        return Player(process, folder, began)

    def ready(self) -> bool:
        """Wait until the run can be watched; False if the process ended before."""
        while self.process.poll() is None:
            try:
                open_run(self.folder)
                return True
            except ValueError:  # not there yet
                time.sleep(LOOK_EVERY)
        return False

    def trouble(self) -> str:
        """One line if the run ended with an error, for the screens."""
        code = self.process.poll()
        return "" if not code else f"the run ended with exit status {code}: {self.last_lines(1)}"

    def last_lines(self, count: int = LINES) -> str:
        with self.log.open("rb") as log:
            log.seek(self.began)
            text = log.read().decode(errors="replace")
        return "\n".join([line for line in text.splitlines() if line.strip()][-count:])

    def farewell(self) -> list[str]:
        """Whether the run goes on, and how to get back to it."""
        code = self.process.poll()
        if code is None:
            return [
                f"The run goes on in process {self.process.pid}; what it says is in {self.log}.",
                f"  watch it again:    {typed_command('watch', self.folder)}",
                f"  interrupt it:      kill -INT {self.process.pid}",
            ]
        if code:
            return [self.last_lines(), f"The run ended with exit status {code}."]
        return [
            f"The run has ended; its summary is in {self.log}.",
            f"  watch it again:    {typed_command('watch', self.folder)}",
            f"  report on it:      {typed_command('analyze', self.folder)}",
        ]


def launch(
    command: Sequence[str], folder: Path, watch: Callable[[Path, Callable[[], str]], None], out: IO[str], err: IO[str]
) -> int:
    """Play a run, watch it, say how it stands; the exit status, the run's own if it failed.

    `watch` shows the run in a folder until the user quits, asking its second argument for trouble to show.
    """
    new = not folder.exists()
    if is_held(folder):
        raise ValueError(f"another process is running {folder}; watch it with: {typed_command('watch', folder)}")
    player = Player.start(command, folder)
    print(f"starting the run, process {player.process.pid}; what it says is in {player.log}", file=out, flush=True)
    try:
        ready = player.ready()
    except KeyboardInterrupt:
        player.process.send_signal(signal.SIGINT)
        player.process.wait()
        print(player.last_lines(), file=err)
        return 130
    if not ready:
        print(player.last_lines(), file=err)
        _tidy(player, new)
        return player.process.returncode or 0
    watch(folder, player.trouble)
    print("\n".join(player.farewell()), file=err if player.process.returncode else out)
    return player.process.returncode or 0


def _tidy(player: Player, new: bool) -> None:
    """Leave no folder behind of a run that never was; a log with older lines stays."""
    if player.process.returncode and not player.began and not (player.folder / "run.db").exists():
        player.log.unlink(missing_ok=True)
        if new and not any(player.folder.iterdir()):
            player.folder.rmdir()
