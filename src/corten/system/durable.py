"""Files that appear whole or not at all, and stay after a power loss.

Temporary file beside the target, fsync, rename, fsync of the directory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


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
    whatever the umask.  Raises: OSError.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")
    fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
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


def write_durably(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace the file `path` by `data`, in one step.  Raises: OSError."""
    with durable_file(path, mode) as file:
        file.write(data)
