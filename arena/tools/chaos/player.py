"""The process that is killed: a run that is made or gone on with, and tells what it is at.

It is a fork of a process that has loaded the program and the fixed held-out problems and holds nothing of a run, which
saves the seconds that loading takes and nothing else: making, opening, playing, storing and the locks are the
program's own. What it tells of the inside of transactions and renames comes from SQLite's own trace and Python's audit
hook, so the program is as it is.
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
"""Exit status of a player that could not go on; why is the last line of its log."""


def warm(config: Config) -> None:
    """In the process that forks: what every player would work out alike."""
    make_domains(config)


def fork_player(config: str, folder: Path, log: Path) -> tuple[int, int, int]:
    """Start one; its process, the end of the pipe that its events come from, and of that for the signs it waits for."""
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
    """The child; never returns."""
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
            raise OSError("nobody is there to kill this player")

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
