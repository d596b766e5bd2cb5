"""The lock of a run folder: one process at a time plays a run, and the file `.lock` names it.

The lock is the operating system's (flock), so it ends with its process, however that dies. The file stays; its content
means nothing when the lock is free. Each copy of a folder has its own lock.

Not guaranteed: anything on a network disk that does not pass locks on to other machines.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
import time
from pathlib import Path
from typing import TextIO

TRIES, WAIT = 5, 0.1
"""Attempts, and seconds between them: a watcher holds the lock for a moment to see whether it is free."""


def hold(folder: Path) -> TextIO:
    """Lock the run for this process until the returned file is closed or the process ends.

    Raises ValueError, naming the process, if another one holds it, and OSError if the folder cannot be written.
    """
    try:
        file = open(folder / ".lock", "a+", encoding="utf-8", errors="replace")  # noqa: SIM115  held while the run is open
    except OSError as error:
        raise OSError(f"cannot write {folder}: {error.strerror}") from None
    for left in reversed(range(TRIES)):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if left:
                time.sleep(WAIT)
        except OSError as error:
            file.close()
            raise OSError(f"cannot lock {folder}: {error.strerror}") from None
        else:
            break
    else:
        raise ValueError(f"another process is running {folder}{_holder(file)}")
    try:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
    except OSError:  # a full disk: the lock is valid without the name of its holder
        pass
    return file


def _holder(file: TextIO) -> str:
    """What the holder wrote, for example `: process 4711 on my-machine`; closes the file."""
    with file:
        file.seek(0)
        found = re.fullmatch(r"process \d{1,10} on [\w.-]{1,80}\n", file.read(200))
    return f": {found[0].strip()}" if found else ""
