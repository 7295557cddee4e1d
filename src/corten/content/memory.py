"""`MemoryStore`: a store that is gone with its process.  For tests and small documents."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from corten.content.blobs import missing
from corten.content.protocols import Buffer
from corten.errors import Conflict, Corrupt, Invalid, NotFound
from corten.oci import media
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest, new_hasher


class MemoryStore:
    """A Store and ListsTags whose blobs are bytes.  Thread-safe.  Cost: all of them in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blobs: dict[Digest, tuple[bytes, str]] = {}
        self._names: dict[str, Descriptor] = {}

    def resolve(self, name: str) -> Descriptor:
        """What was tagged `name`, or the blob of that digest.  Raises: NotFound."""
        if (found := self._names.get(name)) is not None:
            return found
        try:
            digest = Digest(name)
            data, media_type = self._blobs[digest]
        except (Invalid, KeyError):
            raise NotFound(f"nothing is named {name}") from None
        return Descriptor(media_type=media_type, digest=digest, size=len(data))

    def open(self, descriptor: Descriptor, offset: int = 0) -> io.BytesIO:
        """A reader from `offset` on.  Raises: NotFound; Invalid: an offset behind the end."""
        if descriptor.digest not in self._blobs:
            raise missing(descriptor.digest)
        data = self._blobs[descriptor.digest][0]
        if not 0 <= offset <= len(data):
            raise Invalid(f"offset {offset} lies outside of {descriptor.digest}")
        reader = io.BytesIO(data)
        reader.seek(offset)
        return reader

    def tags(self) -> Iterator[str]:
        """All names, in order."""
        yield from sorted(self._names)

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the blob is there, with this size."""
        found = self._blobs.get(descriptor.digest)
        return found is not None and len(found[0]) == descriptor.size

    def ingest(self, descriptor: Descriptor | None = None, name: str = "") -> MemoryIngest:
        """Begin to take a blob.  Raises: Invalid: its digest cannot be computed."""
        return MemoryIngest(self, descriptor)

    def tag(self, name: str, descriptor: Descriptor) -> None:
        """Let `name` stand for a blob that is there.  Raises: NotFound."""
        with self._lock:
            if descriptor.digest not in self._blobs:
                raise missing(descriptor.digest)
            if name:
                self._names[name] = descriptor

    def walk(self) -> Iterator[Descriptor]:
        """All blobs."""
        for digest, (data, media_type) in list(self._blobs.items()):
            yield Descriptor(media_type=media_type, digest=digest, size=len(data))

    @contextmanager
    def lease(self) -> Iterator[str]:
        """Nothing is ever collected here."""
        yield "memory"

    def delete(self, descriptor: Descriptor) -> None:
        """Forget the blob.  Raises: NotFound; Conflict: a name stands for it."""
        with self._lock:
            if any(d.digest == descriptor.digest for d in self._names.values()):
                raise Conflict(f"{descriptor.digest} is in use")
            if self._blobs.pop(descriptor.digest, None) is None:
                raise missing(descriptor.digest)

    def keep(self, descriptor: Descriptor, data: bytes) -> None:
        """Make a verified blob visible."""
        with self._lock:
            self._blobs[descriptor.digest] = (data, descriptor.media_type)


class MemoryIngest:
    """One blob on its way into a :class:`MemoryStore`."""

    def __init__(self, store: MemoryStore, descriptor: Descriptor | None) -> None:
        self.offset = 0
        self._store = store
        self._descriptor = descriptor
        self._data = bytearray()
        self._hasher = new_hasher(descriptor.digest.algorithm if descriptor else "sha256")

    def write(self, data: Buffer, /) -> int:
        """Append `data`.  Raises: Corrupt: longer than the descriptor says."""
        wanted = self._descriptor
        length = memoryview(data).nbytes
        if wanted is not None and self.offset + length > wanted.size:
            raise Corrupt(f"{wanted.digest} is longer than its {wanted.size} bytes")
        self._data += data
        self._hasher.update(data)
        self.offset += length
        return length

    def commit(self, expected: Digest | None = None) -> Descriptor:
        """Verify and make visible.  Raises: Corrupt."""
        wanted, data = self._descriptor, bytes(self._data)
        algorithm = wanted.digest.algorithm if wanted else "sha256"
        digest = Digest.from_hasher(self._hasher, algorithm)
        if wanted is not None and (digest != wanted.digest or len(data) != wanted.size):
            raise Corrupt(
                f"the content of {wanted.digest} is not what that digest says, but {digest}"
                f" with {len(data)} bytes instead of {wanted.size}"
            )
        if expected is not None and expected.algorithm != digest.algorithm:
            digest = Digest.of(data, expected.algorithm)
        if expected is not None and digest != expected:
            raise Corrupt(f"the content is {digest}, not {expected}")
        found = wanted or Descriptor(media_type=media.OCTET_STREAM, digest=digest, size=len(data))
        self._store.keep(found, data)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._data = bytearray()
