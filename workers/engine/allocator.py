"""The C library's allocator, told to keep what is freed.

A pass over a prompt makes and drops tensors of megabytes. By default their memory goes back to the operating system
and comes anew, page by page, at the next layer: half the time of reading a piece of a long prompt (BENCHMARKS.md).
"""

from __future__ import annotations

import ctypes

# mallopt(3); glibc's malloc.h
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_OPTIONS = {
    _MMAP_THRESHOLD: 32 << 20,  # bytes; the most it takes
    _TRIM_THRESHOLD: 1 << 30,
    _ARENA_MAX: 1,  # those of other threads are given back whatever the threshold
}


def keep_freed_memory() -> None:
    """For this process, before it starts threads. Does nothing with a C library that has no such options."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in _OPTIONS.items():
            mallopt(option, value)
