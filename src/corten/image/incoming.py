"""Files that come in, perhaps by a pipe, perhaps compressed."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from corten.archive.compression import MAGIC, detect, inflater
from corten.archive.tar_course import AGAIN
from corten.config.limits import LAYER_LIMIT
from corten.content.ingest import storage_error
from corten.content.protocols import PIECE
from corten.errors import Corrupt, Invalid, NotFound
from corten.events.job import Job


class Spool(NamedTuple):
    """Where files are inflated to, and up to how many bytes however few came (`Expansion`)."""

    folder: Path
    limit: int = LAYER_LIMIT


def inflate(
    file: BinaryIO, write: Callable[[bytes], object], job: Job, limit: int = LAYER_LIMIT
) -> None:
    """Read `file` to its end and hand it to `write` in pieces, uncompressed whatever it was.

    Raises: Invalid: it is empty; TooLarge: it expands beyond `limit` without measure; Corrupt: its compression is damaged; Cancelled.
    """
    head = b""
    while len(head) < MAGIC and (piece := _read(file, MAGIC - len(head))):
        head += piece
    if not head:
        raise Invalid(f"{name_of(file)} is empty", hint="there is nothing in it: write it again")
    stream = inflater(detect(head), write, limit)
    taken = len(head)
    try:
        stream.feed(head)
        while piece := _read(file, PIECE):
            job.check()
            taken += len(piece)
            stream.feed(piece)
        stream.finish()
    except Corrupt as error:
        raise Corrupt(
            f"{name_of(file)}: {error.message} (near byte {taken})", hint=AGAIN
        ) from error


@contextmanager
def plain_file(file: BinaryIO, spool: Spool, job: Job) -> Iterator[int]:
    """A descriptor of a regular, uncompressed file with the bytes of `file`, for the block.

    `file` itself where it is one, else a nameless copy in `spool`.
    Raises: as `inflate`; Unavailable: `spool` is full.
    """
    fd = _regular(file)
    if fd is not None and not detect(os.pread(fd, MAGIC, 0)):
        yield fd
        return
    spool.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=spool.folder, prefix="load-") as copy:

        def write(data: bytes) -> None:
            try:
                copy.write(data)
            except OSError as error:
                raise storage_error(error, f"unpack {name_of(file)}") from error

        inflate(file, write, job, spool.limit)
        copy.flush()
        yield copy.fileno()


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Errors within that are about the archive `name` say which file that is."""
    try:
        yield
    except (Invalid, Corrupt, NotFound) as error:
        # What the other end of a copy does not have is not the archive's fault.
        if error.origin == "sink" and isinstance(error, NotFound):
            raise
        if name not in error.message:
            error.message = f"{name}: {error.message}"
            error.args = (error.message,)
        if isinstance(error, Corrupt) or "malformed" in error.message:
            error.hint = error.hint or AGAIN
        raise


def name_of(file: BinaryIO) -> str:
    """How messages call the file."""
    name = getattr(file, "name", None)
    return name if isinstance(name, str) and name != "<stdin>" else "standard input"


def _regular(file: BinaryIO) -> int | None:
    try:
        fd = file.fileno()
    except (OSError, AttributeError):
        return None
    # A file that was read from already has its rest only by reading on.
    if not stat.S_ISREG(os.fstat(fd).st_mode) or file.tell() != 0:
        return None
    return fd


def _read(file: BinaryIO, size: int) -> bytes:
    try:
        return file.read(size)
    except OSError as error:
        raise storage_error(error, f"read {name_of(file)}") from error
