"""`FileIngest`: one blob on its way into a :class:`~corten.content.blobs.BlobDirectory`."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from corten.content.protocols import PIECE, Buffer
from corten.errors import Corrupt, Invalid, Unavailable, Unsupported
from corten.oci import media
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest, new_hasher
from corten.system.locks import is_still, try_lock, try_own
from corten.system.settling import leave_to_kernel
from corten.system.writeback import EarlyWriteback

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
RESERVE = 1 << 30
"""How many bytes of a disk blobs leave free; of a small one a part of its size:"""
RESERVE_PART = 50
_STRIDE = 8 * PIECE


class StorageFull(Unavailable):
    """The disk or its quota is full.  Trying again at once is of no use."""


class FileIngest:
    """A blob being written to a file that takes its place among the blobs when committed.

    ``offset`` is how many bytes are there; for a blob of a known digest it may
    begin above 0.  Not thread-safe, but it may move between threads, and may
    be left open between calls (an upload session): then end it by `commit` or `abort`.
    A `derived` one is not waited for: see :mod:`corten.system.settling`.
    """

    def __init__(
        self,
        file: Path,
        fd: int,
        descriptor: Descriptor | None,
        publish: Callable[[Path, Digest], None],
        *,
        derived: bool = False,
    ) -> None:
        from corten.archive.hashing import ThreadedHasher  # with the queues that it needs

        self.offset = 0
        self._file = file
        self._fd = fd
        self._descriptor = descriptor
        self._publish = publish
        self._algorithm = descriptor.digest.algorithm if descriptor is not None else "sha256"
        self._hasher = ThreadedHasher(self._algorithm)
        self._writeback = None if derived else EarlyWriteback(fd)
        self._doomed = False
        self._over = False
        self._look_at = _STRIDE
        try:
            if descriptor is not None:
                self._resume(descriptor.size)
        except BaseException:
            self.abort()
            raise

    def _resume(self, limit: int) -> None:
        """Hash what an earlier ingest left behind, and go on after it."""
        if os.fstat(self._fd).st_size > limit:
            os.ftruncate(self._fd, 0)
        while piece := os.read(self._fd, PIECE):
            self._hasher.update(piece)
            self.offset += len(piece)

    def write(self, data: Buffer, /) -> int:
        """Append `data`; returns its length in bytes.

        Raises: Corrupt: more than the descriptor's size, nothing will stay behind;
        StorageFull, Unavailable: the disk does not take it.
        """
        view = memoryview(data).cast("B") if not isinstance(data, bytes) else memoryview(data)
        length = view.nbytes
        if self._over:
            raise ValueError("this ingest is over")
        wanted = self._descriptor
        if wanted is not None and self.offset + length > wanted.size:
            self._doomed = True
            raise Corrupt(f"{wanted.digest} is longer than its {wanted.size} bytes")
        self._hasher.update(data)
        done = 0
        try:
            while done < length:
                done += os.write(self._fd, view[done:])
        except OSError as error:
            self._undo(done)
            raise storage_error(error, "write a blob") from error
        self.offset += length
        if self._writeback is not None:
            self._writeback.reached(self.offset)
        return length

    def _undo(self, done: int) -> None:
        """Hasher and file disagree now: what is kept is what was whole before this write."""
        self._hasher.close()
        self._over = True
        if done:
            with suppress(OSError):
                os.ftruncate(self._fd, self.offset)
        self._leave(keep=self._descriptor is not None and self.offset > 0)

    def commit(self, expected: Digest | None = None) -> Descriptor:
        """Verify, make durable unless it is derived, make visible.

        Raises: Corrupt: not the descriptor's size or digest, or not `expected`;
        StorageFull, Unavailable.  Nothing stays behind.
        """
        if self._over:
            raise ValueError("this ingest is over")
        self._over = True
        try:
            found = self._verified(expected)
            if os.fstat(self._fd).st_size != self.offset:
                raise Corrupt(f"the file of {found.digest} was changed while it was written")
            try:
                os.fchmod(self._fd, 0o644)
                if self._writeback is None:
                    leave_to_kernel(self._fd)
                else:
                    self._writeback.finish()
                self._publish(self._file, found.digest)
            except OSError as error:
                raise storage_error(error, f"store {found.digest}") from error
        except BaseException:
            self._leave(keep=False)
            raise
        self._close()
        return found

    def verify(self) -> None:
        """Nothing more is written, nothing will be committed: is it the descriptor's blob?

        Raises: Corrupt: it has not that size or digest.
        """
        self._verified(None)

    def _verified(self, expected: Digest | None) -> Descriptor:
        digest = self._hasher.digest()
        wanted = self._descriptor
        if wanted is not None:
            if self.offset != wanted.size:
                raise Corrupt(f"{wanted.digest} has {self.offset} bytes instead of {wanted.size}")
            if digest != wanted.digest:
                raise Corrupt(
                    f"the content of {wanted.digest} is not what that digest says, but {digest}"
                )
        if expected is not None and expected.algorithm != digest.algorithm:
            digest = self._rehash(expected.algorithm)
        if expected is not None and digest != expected:
            raise Corrupt(f"the content is {digest}, not {expected}")
        if wanted is not None:
            return wanted
        return Descriptor(media_type=media.OCTET_STREAM, digest=digest, size=self.offset)

    def _rehash(self, algorithm: str) -> Digest:
        hasher = new_hasher(algorithm)
        at = 0
        while piece := os.pread(self._fd, PIECE, at):
            hasher.update(piece)
            at += len(piece)
        return Digest.from_hasher(hasher, algorithm)

    def abort(self, *, keep: bool = False) -> None:
        """End without a blob; `keep` leaves the bytes for a later ingest of a known digest."""
        if self._over:
            return
        self._over = True
        self._hasher.close()
        self._leave(keep=keep and self._descriptor is not None and self.offset > 0)

    def _leave(self, *, keep: bool) -> None:
        if not keep or self._doomed or self._file.name.endswith(PRIVATE):
            with suppress(FileNotFoundError):
                self._file.unlink()
        self._close()

    def _close(self) -> None:
        if self._writeback is not None:
            self._writeback.close()
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Without commit: keep a partial of a known digest for resuming, discard any other.

        What was refused for its content is not worth resuming.
        """
        self.abort(keep=not isinstance(error, (Corrupt, Invalid, Unsupported)))


PARTIAL, PRIVATE, CLAIM = ".part", ".new", ".claim"
"""Names of files beside the blobs: one that can be resumed by any writer, one of a writer's own,
and one that is locked by who brings a blob."""
PARTIAL_AGE = 24 * 3600.0
"""Seconds after which a partial file that nobody writes is given up, unless asked to sooner."""
_NAME_LIMIT = 250


def open_partial(directory: Path, descriptor: Descriptor | None) -> tuple[Path, int]:
    """A locked file for an ingest: the digest's partial file if it is free, else a private one.

    Raises: OSError.
    """
    if descriptor is not None:
        file = named_for(directory, descriptor.digest, PARTIAL)
        if file is not None and (fd := try_own(file)) is not None:
            return file, fd
    while True:
        file = directory / f"{os.urandom(12).hex()}{PRIVATE}"
        if (fd := try_own(file)) is not None:  # a sweep may be faster than our lock
            return file, fd


def named_for(directory: Path, digest: Digest, suffix: str) -> Path | None:
    """The file in `directory` that belongs to a digest.

    None: a name as long as the digest's grammar allows does not fit into a file name.
    """
    name = f"{digest.algorithm}-{digest.encoded}{suffix}"
    return directory / name if len(name) < _NAME_LIMIT else None


def sweep_partials(directory: Path, before: float) -> tuple[int, int]:
    """Remove what nobody holds: private files, and partial ones last written `before` (epoch seconds).

    Returns how many, and their bytes.
    """
    count = size = 0
    for entry in os.scandir(directory):
        if not entry.name.endswith((PARTIAL, PRIVATE, CLAIM)):
            continue
        file = Path(entry.path)
        try:
            fd = os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            status = os.fstat(fd)
            # Only a partial file is of use to somebody else later.
            old = status.st_mtime < before or not entry.name.endswith(PARTIAL)
            if old and try_lock(fd) and is_still(file, fd):
                file.unlink()
                if not entry.name.endswith(CLAIM):
                    count, size = count + 1, size + status.st_size
        finally:
            os.close(fd)
    return count, size


def storage_error(error: OSError, what: str) -> Unavailable:
    """The error to raise for a disk that did not do `what`."""
    if error.errno in _FULL:
        return StorageFull(
            f"cannot {what}: {os.strerror(error.errno or 0)}",
            hint="free some space: corten gc removes what no image uses",
        )
    return Unavailable(f"cannot {what}: {error.strerror or error}")
