"""Locks between processes: flock(2) on a file, as a context manager.

The kernel lets go of them when the process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import stat
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


def try_lock(fd: int, *, shared: bool = False) -> bool:
    """Lock an open file without waiting; closing the last copy of `fd` lets go.  Raises: OSError."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def directory_locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Like :func:`locked` for the directory `path`, which has to be there: no file is needed.

    Raises: OSError.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def try_own(path: Path) -> int | None:
    """Make or open the file `path` and lock it, without waiting: its descriptor; None: another has it.

    For files whose owner renames or removes them before it lets go: who has the lock
    of what is no longer at `path` tries again.  Raises: OSError.
    """
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        if not try_lock(fd):
            os.close(fd)
            return None
        if is_still(path, fd):
            return fd
        os.close(fd)


def is_still(path: Path, fd: int) -> bool:
    """Whether the open file `fd` is the regular file that lies at `path` now."""
    try:
        there = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(there.st_mode) and os.path.samestat(os.fstat(fd), there)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
