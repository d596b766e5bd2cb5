"""The process that words chats (`agents/template_child.py`), as a function: started when it is first needed, one for
all templates, and started afresh after one that took too long or too much.

Left out: walls around it beyond its memory; a template that broke out of Jinja's sandbox could do what the user can.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

CHILD = Path(__file__).with_name("template_child.py")
PATIENCE = 20.0
"""Seconds that a template may take; real ones take a thousandth of one."""
START = 120.0
"""Seconds that the process may take to be there, on a busy machine."""


class Worker:
    """Answers one request at a time, from any thread."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._lock = threading.Lock()

    def ask(
        self, source: str, messages: list[dict[str, str]] | None, prompt: bool, known: dict[str, Any]
    ) -> tuple[str, str]:
        """("text", the wording), or ("read" or "fail", why there is none); no messages: the template is only read."""
        asked = json.dumps([source, messages, prompt, known]).encode() + b"\n"
        with self._lock:
            try:
                process = self._running()
                assert process.stdin is not None
                process.stdin.write(asked)
                process.stdin.flush()
                kind, text = json.loads(self._line(process, PATIENCE))
            except TimeoutError:
                self._stop()
                return "fail", f"it takes more than {PATIENCE:g} s"
            except (OSError, ValueError):
                self._stop()
                return "fail", "it takes more memory than it may"
        return str(kind), str(text)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None or self._owner != os.getpid():
            environment = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "LC_ALL", "SYSTEMROOT")}
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(CHILD)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment | {"PYTHONUTF8": "1"},
                bufsize=0,
            )
            self._owner = os.getpid()
            if self._line(self._process, START) != b"ready\n":
                raise OSError(f"{CHILD} does not start with {sys.executable}")
        return self._process

    def _line(self, process: subprocess.Popen[bytes], seconds: float) -> bytes:
        """One line of what it says. Raises TimeoutError where it says nothing for so long, OSError where it ended."""
        assert process.stdout is not None
        found = b""
        while not found.endswith(b"\n"):
            if not select.select([process.stdout], [], [], seconds)[0]:
                raise TimeoutError
            piece = os.read(process.stdout.fileno(), 1 << 20)
            if not piece:
                raise OSError("it ended")
            found += piece
        return found

    def _stop(self) -> None:
        if self._process is not None:
            if self._owner == os.getpid():
                self._process.kill()
                self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process = None


WORKER = Worker()
