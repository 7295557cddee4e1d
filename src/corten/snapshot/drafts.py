"""Directories that appear whole and go whole.

One is made under another name and renamed, so a half-made one is never seen; going
away it is renamed first.  Both are locked while somebody works in them, so what a
crash left behind can be told from them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from corten.snapshot.removal import remove_tree

DRAFT = ".new-"
"""What names of directories that are being made begin with."""
DOOMED = ".old-"
"""What names of directories that are going away begin with."""
UNFINISHED_AGE = 60.0
"""Seconds after which a file that nobody locks, and that was never finished, is nobody's."""


@contextmanager
def own_draft(parent: Path, prefix: str = DRAFT) -> Iterator[Path]:
    """A locked directory in `parent` for the block, in the end removed with all in it."""
    while True:
        path = parent / f"{prefix}{os.urandom(8).hex()}"
        path.mkdir(mode=0o700)
        fd = open_locked(path)
        if fd is not None:
            break
    try:
        yield path
    finally:
        try:
            remove_tree(path)
        finally:
            os.close(fd)


def open_locked(path: Path) -> int | None:
    """A descriptor that holds the lock of a new directory; None: a sweep was faster."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        if path.exists():
            return fd
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def listed(directory: Path) -> list[Path]:
    """What is in `directory`, sorted, without what begins with a dot; nothing if it is missing."""
    try:
        paths = sorted(directory.iterdir())
    except FileNotFoundError:
        return []
    return [path for path in paths if not path.name.startswith(".")]


def rename_draft(draft: Path, path: Path) -> bool:
    """Let `draft` be `path`; False: there is such a directory already."""
    while True:
        try:
            draft.rename(path)
        except OSError as error:
            if path.exists():
                return False
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            # There was one, which somebody has removed meanwhile.
        else:
            return True


def remove_whole(path: Path) -> None:
    """Remove a directory so that nobody sees half of it; nothing to do if it is not there."""
    if not path.exists():
        return
    with own_draft(path.parent, DOOMED) as doomed, suppress(FileNotFoundError):
        path.rename(doomed / path.name)  # else somebody else removes it


def sweep(directory: Path) -> None:
    """Remove drafts and doomed directories that nobody holds any more, and unfinished files."""
    if not directory.is_dir():
        return
    for path in directory.iterdir():
        if is_unfinished(path):
            path.unlink(missing_ok=True)
        elif path.name.startswith((DRAFT, DOOMED)):
            try:
                fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except (FileNotFoundError, NotADirectoryError):
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            else:
                remove_tree(path)
            finally:
                os.close(fd)


def is_unfinished(path: Path) -> bool:
    """Whether it is a file that was to replace another (:mod:`corten.system.durable`), and never did."""
    name = path.name
    if not name.startswith(DRAFT) and not (name.startswith(".") and name.endswith(".tmp")):
        return False
    try:
        return stat.S_ISREG(path.lstat().st_mode) and is_old(path, UNFINISHED_AGE)
    except FileNotFoundError:
        return False


def is_old(path: Path, seconds: float) -> bool:
    """Whether it is there and was last changed longer ago."""
    try:
        return time.time() - path.lstat().st_mtime > seconds
    except FileNotFoundError:
        return False
