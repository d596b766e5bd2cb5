"""`run --watch` and `resume --watch`: start a run in a separate process and watch it.

The run's process starts a new session, so that it survives the watcher and its terminal. Its output goes to `run.log`
in the run's folder. Only the process started here is ever signalled, and only if the user interrupts before the screens
are open.

Left out: stopping a run from the screens (`arena.watch.commands`). Not guaranteed: that a run that is left behind
succeeds; see its `run.log`.
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
from arena.watch.commands import is_finished, is_open
from arena.watch.queries import open_run, read_only

LINES = 15
"""Lines shown from the end of a failed run's log."""
POLL_SECONDS = 0.1


@dataclass
class RunProcess:
    """A run that was started in a separate process."""

    process: subprocess.Popen[bytes]
    folder: Path
    log_start: int = 0
    """Byte offset in the log at which this process's output begins."""

    @property
    def log(self) -> Path:
        return self.folder / "run.log"

    @staticmethod
    def start(command: Sequence[str], folder: Path) -> RunProcess:
        """Start the program with `command` and `--quiet` for the run in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "run.log").open("ab") as log:
            log_start = log.tell()
            process = subprocess.Popen(
                [sys.executable, str(PROGRAM), *command, "--quiet"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | {"PYTHONUNBUFFERED": "1", "RATCHET_COMMAND": typed_command()},
                start_new_session=True,
            )
        return RunProcess(process, folder, log_start)

    def wait_ready(self) -> bool:
        """Wait until the run can be opened. Returns False if the process ended first."""
        while self.process.poll() is None:
            try:
                open_run(self.folder)
                return True
            except ValueError:  # not created yet
                time.sleep(POLL_SECONDS)
        return False

    def error_line(self) -> str:
        """A line for the screens if the process ended with an error; otherwise an empty string."""
        code = self.process.poll()
        return "" if not code else f"the run ended with exit status {code}: {self.last_lines(1)}"

    def finished(self) -> bool:
        """Whether the run has been played to its end."""
        with read_only(self.folder / "run.db") as db:
            return is_finished(db)

    def last_lines(self, count: int = LINES) -> str:
        with self.log.open("rb") as log:
            log.seek(self.log_start)
            text = log.read().decode(errors="replace")
        return "\n".join([line for line in text.splitlines() if line.strip()][-count:])

    def closing_lines(self) -> list[str]:
        """The lines to print after the screens close: whether the run continues, and the next commands."""
        code = self.process.poll()
        if code is None:
            return [
                f"The run continues in process {self.process.pid}; its log is {self.log}.",
                f"  watch it again:  {typed_command('watch', self.folder)}",
                f"  interrupt it:    kill -INT {self.process.pid}",
            ]
        if code:
            return [self.last_lines(), f"The run ended with exit status {code}."]
        if not self.finished():
            return [
                f"The run has stopped before its end; its log is {self.log}.",
                f"  continue it:     {typed_command('resume', self.folder)}",
                f"  watch it again:  {typed_command('watch', self.folder)}",
                f"  report on it:    {typed_command('analyze', self.folder)}",
            ]
        return [
            f"The run has ended; its summary is in {self.log}.",
            f"  watch it again:  {typed_command('watch', self.folder)}",
            f"  report on it:    {typed_command('analyze', self.folder)}",
        ]


def launch(
    command: Sequence[str], folder: Path, watch: Callable[[Path, Callable[[], str]], None], out: IO[str], err: IO[str]
) -> int:
    """Start a run, watch it, and print whether it continues.

    Args:
        command: arguments of `run_arena.py`.
        folder: the run's folder.
        watch: shows the run in a folder until the user quits; calls its second argument for errors to show.
        out, err: streams for messages and errors.

    Returns:
        The exit status: that of the run's process if it failed, 130 after an interrupt, otherwise 0.

    Raises:
        ValueError: if another process has the run open.
    """
    new = not folder.exists()
    if is_open(folder):
        raise ValueError(f"another process is running {folder}; watch it with: {typed_command('watch', folder)}")
    run = RunProcess.start(command, folder)
    print(f"starting the run in process {run.process.pid}; its log is {run.log}", file=out, flush=True)
    try:
        ready = run.wait_ready()
    except KeyboardInterrupt:
        run.process.send_signal(signal.SIGINT)
        run.process.wait()
        print(run.last_lines(), file=err)
        return 130
    if not ready:
        print(run.last_lines(), file=err)
        _remove_empty(run, new)
        return run.process.returncode or 0
    watch(folder, run.error_line)
    print("\n".join(run.closing_lines()), file=err if run.process.returncode else out)
    return run.process.returncode or 0


def _remove_empty(run: RunProcess, new: bool) -> None:
    """Remove the log and folder of a run that failed before it created a database; a log with older lines stays."""
    if run.process.returncode and not run.log_start and not (run.folder / "run.db").exists():
        run.log.unlink(missing_ok=True)
        if new and not any(run.folder.iterdir()):
            run.folder.rmdir()
