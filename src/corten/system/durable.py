"""Files that appear whole or not at all, and stay after a power loss.

Temporary file beside the target, fsync, rename, fsync of the directory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from corten.system.locks import is_still, try_lock


def sync_directory(path: Path) -> None:
    """Make the directory's entries durable: a rename is one only after this."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def durable_file(path: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """A binary file to write; it becomes `path`, replacing it, when the block ends well.

    An exception in the block leaves what was there before.  The file has `mode`
    whatever the umask.  A process that is killed in the block leaves its temporary file:
    see :func:`sweep_drafts`.  Raises: OSError.
    """
    temporary, fd = _draft(path)
    try:
        with open(fd, "w+b") as file:
            yield file
            file.flush()
            os.fchmod(fd, mode)
            os.fsync(fd)
        temporary.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
    sync_directory(path.parent)


def _draft(path: Path) -> tuple[Path, int]:
    """A new temporary file, locked by us as long as it is open."""
    while True:
        temporary = path.with_name(f"{_prefix(path)}{os.urandom(6).hex()}{_SUFFIX}")
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if try_lock(fd) and is_still(temporary, fd):
                return temporary, fd
        except OSError:
            return temporary, fd  # a file system without locks: others cannot lock it either
        os.close(fd)  # a sweep was faster than our lock


def sweep_drafts(path: Path) -> None:
    """Remove what killed processes left that were to write the file `path`; never raises OSError."""
    with suppress(OSError), os.scandir(path.parent) as entries:
        names = [e.name for e in entries if e.name.startswith(_prefix(path))]
        for draft in (path.with_name(name) for name in names if name.endswith(_SUFFIX)):
            with suppress(OSError):
                fd = os.open(draft, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
                try:
                    if is_still(draft, fd) and try_lock(fd):
                        draft.unlink()
                finally:
                    os.close(fd)


_SUFFIX = ".tmp"


def _prefix(path: Path) -> str:
    return f".{path.name}."


def write_durably(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace the file `path` by `data`, in one step.  Raises: OSError."""
    with durable_file(path, mode) as file:
        file.write(data)
