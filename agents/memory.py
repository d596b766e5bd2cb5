"""Memory of this process."""

from __future__ import annotations

import ctypes
import os
import sys

KERNELS = 64
"""Compiled kernels that each cache keeps. Six steps of SmolLM2-135M took as long with 64 as with 1024."""
CACHES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
"""Environment variables that torch's CPU kernels read at their first use: oneDNN's cache, and torch's on top of it."""


def bound_kernel_caches() -> None:
    """Keep few compiled kernels, unless the environment says how many.

    oneDNN compiles a kernel for each shape of a product in bfloat16. By default two caches keep 1024 of them, which is
    0.1 GB for each step of a 135M model, because batches of texts seldom have the same number of tokens twice."""
    for name in CACHES:
        os.environ.setdefault(name, str(KERNELS))


def release_freed_memory() -> None:
    """Give memory that was freed back to the system, where the C library can (glibc's `malloc_trim`).

    glibc keeps freed blocks of up to 32 MiB for itself. Batches of a real model differ in size, so gigabytes would stay
    with the process between phases. The peak within a phase is not changed. Takes milliseconds."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)
