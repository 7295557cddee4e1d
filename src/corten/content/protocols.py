"""What can be read is a `Source`, what can take is a `Sink`.

Local store, memory, OCI layout, tarball, bucket and registry repository all
are; pull, push, save, load, copy and mirror are one function over them,
:func:`corten.content.copy.copy`.

Optional powers are further protocols, asked for by ``isinstance``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest

Buffer = bytes | bytearray | memoryview

PIECE = 1024 * 1024
"""Bytes moved at a time.  A whole blob is never held in memory."""


class BlobReader(Protocol):
    """Bytes of one blob, in order, from the offset it was opened at.  A context manager."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; ``b""`` only at the end.

        Raises: Unavailable: the other side went away before the end (a reader
        never ends early in silence).
        """

    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...


class Source(Protocol):
    """Content that can be read."""

    def resolve(self, name: str) -> Descriptor:
        """The descriptor of the root that `name` stands for.

        Names are what the source uses: a full image name for a store, a tag or
        digest for a repository, a ref name for a layout.  A digest resolves
        everywhere.  Raises: NotFound.
        """

    def open(self, descriptor: Descriptor, offset: int = 0) -> BlobReader:
        """A reader of the blob from `offset` bytes on; it does not verify.

        Raises, before it returns: NotFound, Denied, Unavailable.
        """


class Ingest(Protocol):
    """One blob on its way in.  A context manager: leaving without commit aborts.

    ``offset`` is how many bytes are there already; after an earlier ingest of
    the same descriptor was cut off it may be above 0, and writing goes on there.
    """

    offset: int

    def write(self, data: Buffer, /) -> int:
        """Append `data`; returns its length.  Raises: Unavailable (disk full), Corrupt (too long)."""

    def commit(self, expected: Digest | None = None) -> Descriptor:
        """Verify, make durable, make visible.

        Raises: Corrupt: size or digest are not those of the descriptor given to
        `ingest`, or not `expected`; nothing stays behind.
        """

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...


class Sink(Protocol):
    """Content that can take."""

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the blob is there, whole."""

    def ingest(self, descriptor: Descriptor | None = None, name: str = "") -> Ingest:
        """Begin to take a blob.

        Without a descriptor the digest is found while writing (SHA-256).
        `name` is the name that the blob, a manifest, is going to have: a
        registry tags by PUT.
        """

    def tag(self, name: str, descriptor: Descriptor) -> None:
        """Let `name` stand for `descriptor`, whose content must be there.  Raises: NotFound."""


class Store(Source, Sink, Protocol):
    """A source and sink that also lists, protects and forgets."""

    def walk(self) -> Iterator[Descriptor]:
        """Every blob that is there; media types may be ``application/octet-stream``."""

    def lease(self) -> AbstractContextManager[str]:
        """What is ingested or read within the block is not collected before its end."""

    def delete(self, descriptor: Descriptor) -> None:
        """Forget the blob.  Raises: NotFound; Conflict: still in use."""


@runtime_checkable
class Mounts(Protocol):
    """A sink that can take a blob from a neighbour without moving bytes (cross-repository mount)."""

    def mount(self, descriptor: Descriptor, repository: str) -> bool:
        """Take the blob from `repository` of the same host.  False: not there, send it."""


@runtime_checkable
class Streams(Protocol):
    """A sink that compares what it takes with its digest itself: who sends to it need not hash."""

    def stream(self) -> Ingest:
        """Begin to take a blob that is still being made.

        Its `commit` must be told the digest.  Where that fails, the blob can be sent again by
        `ingest`, which goes on from what arrived if the sink was only cut off.
        """

    def took(self, digest: Digest) -> bool:
        """Whether the blob was streamed to here: then nobody need ask, or send it."""


@runtime_checkable
class Claims(Protocol):
    """A sink that several processes fill: one of them brings a blob, the others wait for it."""

    def claim(self, descriptor: Descriptor) -> AbstractContextManager[object]:
        """The right to bring the blob, for the block.

        It ends with its holder, however that ends; one that was stopped by a signal is not
        waited for.  It keeps nobody from ingesting: whoever does not ask is not held up.
        Raises: Claimed: another has it now, and the error says who; Unavailable.
        """


@runtime_checkable
class Locates(Protocol):
    """A source that can say where a blob's bytes lie, for sendfile or a mount."""

    def locate(self, descriptor: Descriptor) -> Path:
        """The file that holds exactly the blob.  Raises: NotFound."""


@runtime_checkable
class ListsTags(Protocol):
    """A source that can list its names."""

    def tags(self) -> Iterator[str]:
        """All names, in order."""


@runtime_checkable
class Remembers(Protocol):
    """Something that keeps facts about blobs: what was expensive to find out.

    Kinds: ``diff-id`` (compressed layer -> digest of its tar), ``compressed/gzip``
    (diff id -> JSON descriptor), ``origin`` (blob -> ``registry/repository`` that has it).
    """

    def remember(self, kind: str, digest: Digest, value: str) -> None:
        """Note a fact, in place of an earlier one of its kind."""

    def recall(self, kind: str, digest: Digest) -> str | None:
        """The fact, if it is known."""


@runtime_checkable
class Hosted(Protocol):
    """A repository of a registry, which knows its own place."""

    @property
    def origin(self) -> str:
        """``registry/repository``."""
