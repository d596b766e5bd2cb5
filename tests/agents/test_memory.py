"""Memory that was freed goes back to the system."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest

from agents.memory import release_freed_memory

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
