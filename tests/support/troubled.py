"""Ends that fail in the ways networks and hostile servers do."""

from __future__ import annotations

import threading
from collections import Counter

from corten.content.memory import MemoryIngest, MemoryStore
from corten.content.protocols import BlobReader
from corten.errors import Unavailable
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest


class Flaky:
    """A source whose readers break off: each blob's reading fails `failures` times.

    A failing reader gives `before` bytes first.
    """

    def __init__(self, inner: MemoryStore, failures: int, before: int = 0) -> None:
        self.inner = inner
        self.failures = failures
        self.before = before
        self.opened: list[tuple[Digest, int]] = []
        self._counts: Counter[Digest] = Counter()
        self._lock = threading.Lock()

    def resolve(self, name: str) -> Descriptor:
        return self.inner.resolve(name)

    def open(self, descriptor: Descriptor, offset: int = 0) -> BlobReader:
        with self._lock:
            self.opened.append((descriptor.digest, offset))
            self._counts[descriptor.digest] += 1
            failing = self._counts[descriptor.digest] <= self.failures
        reader = self.inner.open(descriptor, offset)
        return _Breaking(reader, self.before) if failing else reader


class _Breaking:
    def __init__(self, inner: BlobReader, left: int) -> None:
        self._inner = inner
        self._left = left

    def read(self, size: int = -1, /) -> bytes:
        if self._left <= 0:
            raise Unavailable("the connection was lost")
        data = self._inner.read(min(size if size >= 0 else self._left, self._left))
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._inner.close()

    def __enter__(self) -> _Breaking:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class Lying(MemoryStore):
    """A source that sends other bytes than it should for some digests."""

    def lie(self, descriptor: Descriptor, data: bytes) -> None:
        self.keep(descriptor, data)


class Recording(MemoryStore):
    """A sink that notes the order in which things become visible."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[Digest] = []
        self.names_at_ingest: dict[Digest, str] = {}

    def ingest(self, descriptor: Descriptor | None = None, name: str = "") -> MemoryIngest:
        if descriptor is not None and name:
            self.names_at_ingest[descriptor.digest] = name
        return super().ingest(descriptor, name)

    def keep(self, descriptor: Descriptor, data: bytes) -> None:
        super().keep(descriptor, data)
        self.order.append(descriptor.digest)


class Neighbour(MemoryStore):
    """A repository of a registry that can mount from others of the same host."""

    def __init__(self, origin: str, neighbours: dict[str, MemoryStore]) -> None:
        super().__init__()
        self.origin = origin
        self.neighbours = neighbours
        self.asked: list[str] = []

    def mount(self, descriptor: Descriptor, repository: str) -> bool:
        self.asked.append(repository)
        other = self.neighbours.get(repository)
        if other is None or not other.has(descriptor):
            return False
        with other.open(descriptor) as reader:
            self.keep(descriptor, reader.read())
        return True


class Remembering(MemoryStore):
    """A store with facts."""

    def __init__(self) -> None:
        super().__init__()
        self.facts: dict[tuple[str, Digest], str] = {}

    def remember(self, kind: str, digest: Digest, value: str) -> None:
        self.facts[kind, digest] = value

    def recall(self, kind: str, digest: Digest) -> str | None:
        return self.facts.get((kind, digest))
