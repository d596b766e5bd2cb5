"""The command line in a new interpreter, as a user runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from arena.config.shipped import ROOT

SCRIPT = str(ROOT / "run_arena.py")


def ratchet(
    *arguments: str, cwd: Path = ROOT, given: str = "", timeout: float = 300.0
) -> subprocess.CompletedProcess[str]:
    """Run `python run_arena.py ARGUMENTS` in `cwd`, with `given` on its standard input."""
    command = [sys.executable, SCRIPT, *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, cwd=cwd, timeout=timeout)
