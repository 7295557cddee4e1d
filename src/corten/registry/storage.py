"""Blobs on files, and uploads that become blobs."""

from __future__ import annotations

import os
from pathlib import Path

from corten.errors import Corrupt
from corten.oci.digest import Digest, new_hasher
from corten.wire.codes import refusal

_PIECE = 1024 * 1024


class Incoming:
    """An upload's file, open to be appended to."""

    def __init__(self, path: Path, algorithm: str, storage: BlobStorage) -> None:
        self._storage = storage
        self._path = path
        self._hasher = new_hasher(algorithm)
        self._algorithm = algorithm
        self.offset = 0
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        while data := os.pread(self._fd, _PIECE, self.offset):
            self._hasher.update(data)
            self.offset += len(data)

    def write(self, data: bytes) -> None:
        os.pwrite(self._fd, data, self.offset)
        self._hasher.update(data)
        self.offset += len(data)

    def commit(self, digest: Digest) -> int:
        found = Digest.from_hasher(self._hasher, self._algorithm)
        if found != digest:
            raise Corrupt(f"the content is {found}, not {digest}")
        os.fsync(self._fd)
        os.close(self._fd)
        target = self._storage.path(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        self._path.rename(target)
        return self.offset

    def suspend(self) -> None:
        os.close(self._fd)

    def abort(self) -> None:
        os.close(self._fd)
        self._path.unlink()


class BlobStorage:
    """All blobs of a registry, once each, whatever repositories have them."""

    def __init__(self, data: Path) -> None:
        self._data = data
        (data / "ingest").mkdir(exist_ok=True)

    def path(self, digest: Digest) -> Path:
        return self._data / "blobs" / digest.algorithm / digest.encoded

    def ingest(self, upload_id: str, algorithm: str) -> Incoming:
        return Incoming(self._data / "ingest" / upload_id, algorithm, self)

    def open(self, digest: Digest) -> int:
        try:
            return os.open(self.path(digest), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise refusal("BLOB_UNKNOWN", f"the bytes of {digest} are gone") from None

    def close(self) -> None:
        pass
