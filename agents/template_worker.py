"""Client of the process that renders chat templates (`agents/template_child.py`).

One process serves all templates. It is started on first use, and again after a template exceeded its time or memory.
Not guaranteed: isolation beyond Jinja's sandbox; a template that escapes it has the permissions of the user.
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
TIMEOUT = 20.0
"""Seconds that rendering a template may take; real templates take about a millisecond."""
START = 120.0
"""Seconds that the process may take to start, on a busy machine."""


class Worker:
    """Serves one request at a time. Thread-safe."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._lock = threading.Lock()

    def ask(
        self, source: str, messages: list[dict[str, str]] | None, prompt: bool, known: dict[str, Any]
    ) -> tuple[str, str]:
        """Render a template.

        Args:
            source: Jinja source.
            messages: messages with "role" and "content"; None: only parse the template.
            prompt: whether to add the start of the answer.
            known: further variables of the template.

        Returns:
            ("text", the rendered chat), ("read", error) for an invalid template, or ("fail", error).
        """
        asked = json.dumps([source, messages, prompt, known]).encode() + b"\n"
        with self._lock:
            try:
                process = self._running()
                assert process.stdin is not None
                process.stdin.write(asked)
                process.stdin.flush()
                kind, text = json.loads(self._line(process, TIMEOUT))
            except TimeoutError:
                self._stop()
                return "fail", f"it takes more than {TIMEOUT:g} s"
            except (OSError, ValueError):
                self._stop()
                return "fail", "it exceeds its memory limit"
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
        """Read one line. Raises TimeoutError if there is no output for `seconds`, OSError if the process ended."""
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
