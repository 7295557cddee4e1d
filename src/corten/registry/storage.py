"""Blobs on files, and uploads that become blobs.

``blobs/`` is that of an OCI image layout (:class:`~corten.content.blobs.BlobDirectory`),
``uploads/`` has one file an upload, named by its session, so that an upload
goes on after a restart.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from corten.content.blobs import BlobDirectory
from corten.content.ingest import storage_error
from corten.errors import Corrupt, NotFound, Unavailable
from corten.oci.digest import Digest, Hasher, new_hasher
from corten.system.locks import try_lock
from corten.system.writeback import EarlyWriteback
from corten.wire.codes import refusal

_PIECE: Final = 1024 * 1024


class Incoming:
    """An upload's file, open to be appended to.  One thread at a time uses it.

    ``offset`` is how many bytes it has.
    """

    def __init__(self, path: Path, algorithm: str, blobs: _Blobs) -> None:
        """Open the file, or make it, and hash what is there already.

        Raises: Unavailable: another process has it open; the disk fails.
        """
        self._path = path
        self._algorithm = algorithm
        self._blobs = blobs
        self._hasher = new_hasher(algorithm)
        self.offset = 0
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._fd = os.open(path, flags, 0o600)
        except OSError as error:
            raise storage_error(error, "take an upload") from error
        try:
            if not try_lock(self._fd):
                raise Unavailable("another process has this upload open")
            self.offset = self._hash(self._hasher)
        except BaseException:
            os.close(self._fd)
            raise
        self._writeback = EarlyWriteback(self._fd)

    def write(self, data: bytes) -> None:
        """Append `data`.  Raises: Unavailable: the disk does not take it."""
        view, done = memoryview(data), 0
        try:
            while done < len(data):
                done += os.pwrite(self._fd, view[done:], self.offset + done)
        except OSError as error:
            raise storage_error(error, "take an upload") from error
        self._hasher.update(data)
        self.offset += len(data)
        self._writeback.reached(self.offset)

    def commit(self, digest: Digest) -> int:
        """Verify, make durable, make it a blob; its size in bytes.

        Raises: Corrupt: the content has another digest, the file stays;
        Unavailable: the disk fails.
        """
        hasher = self._hasher
        if digest.algorithm != self._algorithm:
            hasher = new_hasher(digest.algorithm)
            self._hash(hasher)
        found = Digest.from_hasher(hasher, digest.algorithm)
        if found != digest:
            raise Corrupt(f"the content is {found}, not {digest}")
        try:
            # A write that failed half-way may have left bytes behind the end.
            os.ftruncate(self._fd, self.offset)
            os.fchmod(self._fd, 0o644)
            os.fsync(self._fd)
            self._blobs.adopt(self._path, digest)
        except OSError as error:
            raise storage_error(error, f"store {digest}") from error
        self.suspend()
        return self.offset

    def suspend(self) -> None:
        """Close the file: the upload may go on later."""
        self._writeback.close()
        os.close(self._fd)

    def abort(self) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)
        self.suspend()

    def _hash(self, hasher: Hasher) -> int:
        position = 0
        while data := os.pread(self._fd, _PIECE, position):
            hasher.update(data)
            position += len(data)
        return position


class BlobStorage:
    """All blobs of a registry, once each, whatever repositories have them."""

    def __init__(self, data: Path) -> None:
        """Raises: Unavailable: the folders cannot be made."""
        self._blobs = _Blobs(data)
        self._uploads = data / "uploads"
        self._blobs.prepare()
        try:
            self._uploads.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise storage_error(error, f"make {self._uploads}") from error

    def ingest(self, upload_id: str, algorithm: str) -> Incoming:
        """The file of an upload, opened.  Raises: Unavailable."""
        return Incoming(self._uploads / upload_id, algorithm, self._blobs)

    def open(self, digest: Digest) -> int:
        """A descriptor of the blob's file, which the caller closes.  Raises: NotFound, Unavailable."""
        try:
            with self._blobs.open(digest) as file:
                return os.dup(file.fileno())
        except NotFound as error:
            raise refusal("BLOB_UNKNOWN", f"the bytes of {digest} are gone") from error


class _Blobs(BlobDirectory):
    """Blobs that may also come from a file written elsewhere on the same disk."""

    def adopt(self, file: Path, digest: Digest) -> None:
        """Make a complete, verified and synced file the blob `digest`.  Raises: OSError."""
        self._publish(file, digest)
