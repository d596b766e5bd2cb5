"""Memory that was freed goes back to the system."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from agents.memory import CACHES, release_freed_memory

MIB = 2**20


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(sys.platform != "linux", reason="NOT TESTED: malloc_trim is glibc's")
def test_freed_blocks_go_back() -> None:
    """200 MiB in blocks between live ones, which the allocator keeps by itself."""
    blocks = [bytearray(b"x" * 65536) for _ in range(3200)]
    kept = blocks[::64]
    del blocks
    before = resident()
    release_freed_memory()
    assert before - resident() > 100 * MIB and len(kept) == 50


def test_kernel_caches_are_bounded() -> None:
    """Importing the package sets what the user has not set."""
    code = "import os, agents; print(*(os.environ[n] for n in agents.memory.CACHES))"
    environment = {k: v for k, v in os.environ.items() if k not in CACHES}
    for own, expected in ({}, ["64", "64"]), ({CACHES[1]: "7"}, ["64", "7"]):
        done = subprocess.run([sys.executable, "-c", code], env=environment | own, capture_output=True, text=True)
        assert done.stdout.split() == expected, done.stderr
