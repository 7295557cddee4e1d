"""Memory that is needed again at once: work in pieces of a MiB frees and takes them thousands of times."""

from __future__ import annotations

import functools

LARGE = 16 * 1024 * 1024
"""Bytes from which on it is worth to load what :func:`keep_freed_memory` needs."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3), malloc.h
_KEPT = 32 * 1024 * 1024


def keep_freed_memory(size: int) -> None:
    """Let malloc keep what is freed, some MiB a thread, if `size` bytes that are to be moved are many.

    Left alone, glibc gives a freed MiB back to the kernel, which pages it in anew, zeroed, a
    moment later: that is a fifth of the CPU of pushing a large layer, and half of loading one.
    It holds until the process ends.  Where malloc is another one nothing happens.
    """
    if size >= LARGE:
        _keep()


@functools.cache
def _keep() -> None:
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _KEPT)
        mallopt(_TRIM_THRESHOLD, _KEPT)
