"""The command line in a forked process: as separate as a new interpreter, without importing torch once more.

The child has its own working directory, arguments and files for output; what it prints is read from these files, so
that it has passed through the real file descriptors. Not for tests of interpreters, environments or killed processes.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import NoReturn

from arena.cli.app import main
from arena.config.shipped import ROOT

SCRIPT = str(ROOT / "run_arena.py")


def ratchet(
    *arguments: str, cwd: Path = ROOT, given: str = "", timeout: float = 300.0
) -> subprocess.CompletedProcess[str]:
    """What `python run_arena.py ARGUMENTS` does in `cwd`, with `given` on its standard input.

    Raises subprocess.TimeoutExpired after `timeout` seconds; the process is killed then.
    """
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        stdin.write(given.encode())
        stdin.seek(0)
        pid = os.fork()
        if pid == 0:
            _run(arguments, cwd, (stdin.fileno(), stdout.fileno(), stderr.fileno()))
        end, status = time.monotonic() + timeout, None
        while status is None:
            done, code = os.waitpid(pid, os.WNOHANG)
            if done:
                status = os.waitstatus_to_exitcode(code)
            elif time.monotonic() > end:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise subprocess.TimeoutExpired(list(arguments), timeout)
            else:
                time.sleep(0.01)
        printed = []
        for file in (stdout, stderr):
            file.seek(0)
            printed.append(file.read().decode())
    return subprocess.CompletedProcess([SCRIPT, *arguments], status, *printed)


def _run(arguments: tuple[str, ...], cwd: Path, files: tuple[int, int, int]) -> NoReturn:
    status = 1
    try:
        os.chdir(cwd)
        for number, file in enumerate(files):
            os.dup2(file, number)
        sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), encoding="utf-8", write_through=True)
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), encoding="utf-8", write_through=True)
        sys.argv = [SCRIPT, *arguments]
        sys.orig_argv = [sys.executable, *sys.argv]
        main()
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
