"""Memory of this process."""

from __future__ import annotations

import ctypes
import sys


def release_freed_memory() -> None:
    """Give memory that was freed back to the system, where the C library can (glibc's `malloc_trim`).

    glibc keeps freed blocks of up to 32 MiB for itself. Batches differ in size, so a run of a real model would come to
    hold twice the memory that it ever uses at a time. Takes milliseconds."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)
