"""The process that is killed: it makes or resumes a run, and reports events.

It is a fork of a process that has loaded the program and the fixed held-out problems, but nothing of a run. That saves
only the seconds of loading: making, opening, playing, storing and locks are the program's own. Events inside
transactions and renames come from SQLite's trace callback and Python's audit hook, so the program is unchanged.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

from arena.config.schema import Config, load_config
from arena.loop import play
from arena.run.state import Arena, make_domains
from arena.tools.chaos.events import WAITS

FAILED = 3
"""Exit status of a player that failed; the last line of its log says why."""


def warm(config: Config) -> None:
    """Compute, in the forking process, what every player would compute."""
    make_domains(config)


def fork_player(config: str, folder: Path, log: Path) -> tuple[int, int, int]:
    """Start a player. Returns its process id, the pipe its events are read from, and the pipe for the bytes it waits
    for."""
    read, write = os.pipe()
    waits, signs = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if not child:
        os.close(read)
        os.close(signs)
        _be(config, folder, log, write, waits)
    os.close(write)
    os.close(waits)
    return child, read, signs


def _be(config: str, folder: Path, log: Path, pipe: int, waits: int) -> NoReturn:
    """The child process; never returns."""
    status = FAILED
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(out, 1)
        os.dup2(out, 2)
        _play(config, folder, pipe, waits)
        status = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _play(config: str, folder: Path, pipe: int, waits: int) -> None:
    def tell(line: str) -> None:
        os.write(pipe, line.encode() + b"\n")
        if line in WAITS and not os.read(waits, 1):
            raise OSError("the killer of this player has ended")

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.rename":
            tell("rename")

    def traced(statement: str) -> None:
        if statement in ("BEGIN IMMEDIATE", "COMMIT"):
            tell(statement.split()[0].lower())

    def listen(event: str, data: dict[str, Any]) -> None:
        if event == "phase":
            tell(f"phase {data['generation']} {data['phase']}")
        elif event == "done":
            for post in data["records"].get("posts", ()):
                tell(f"post {post['id']}")
            tell(f"done {data['generation']} {data['phase']}")

    sys.addaudithook(heard)
    if (folder / "run.db").exists():
        arena = Arena.open(folder)
    else:
        arena = Arena.create(load_config(config, [f"run.folder={folder.parent}", f"run.name={folder.name}"]))
    with arena:
        arena.store.db.conn.set_trace_callback(traced)
        tell("made")
        if play(arena, listen):
            tell("ended")
