"""Locks between processes: flock(2) on a file, as a context manager.

The kernel lets go of them when the process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[int]:
    """Hold the lock of `path` for the block, waiting for it; yields the file descriptor.

    The file is made if it is not there, and stays.  Any number may hold it
    `shared`, or one alone.  Two blocks of one process exclude each other as two
    processes do.  Raises: OSError.
    """
    fd = _open(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield fd
    finally:
        os.close(fd)


@contextmanager
def trying(path: Path, *, shared: bool = False) -> Iterator[bool]:
    """Like :func:`locked` without waiting: yields whether the lock was got.  Raises: OSError."""
    fd = _open(path)
    try:
        yield try_lock(fd, shared=shared)
    finally:
        os.close(fd)


def try_lock(fd: int, *, shared: bool = False) -> bool:
    """Lock an open file without waiting; closing the last copy of `fd` lets go.  Raises: OSError."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
