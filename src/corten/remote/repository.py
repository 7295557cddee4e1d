"""`RemoteRepository`: a registry's repository as a source and sink.

Names are tags and digests.  Manifests travel by ``/manifests/``, everything else
by ``/blobs/``; which is which the descriptor's media type tells.
Spec: OCI distribution, "Pull" and "Push".
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from corten.content.protocols import PIECE, BlobReader, Ingest
from corten.errors import Corrupt, CortenError, Invalid, NotFound, Unavailable
from corten.oci import media
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.remote.failures import Disconnected
from corten.remote.transport import Transport
from corten.remote.uploads import BlobUpload, ManifestUpload
from corten.wire import client
from corten.wire.challenge import Scope, repository_scope
from corten.wire.dialogue import Dialogue, T
from corten.wire.messages import Stream


class RemoteRepository:
    """A repository of a registry: Source, Sink, Streams, Mounts and ListsTags.

    `actions` is what the work needs (``pull``, ``push``, ``delete``): a token is
    asked for all of it at once.  Thread-safe.
    """

    def __init__(
        self, transport: Transport, name: str, actions: tuple[str, ...] = ("pull",)
    ) -> None:
        self.transport = transport
        self.name = name
        self._scope = repository_scope(name, *actions)
        self._lock = threading.Lock()
        self._unfinished: dict[Digest, str] = {}
        self._taken: set[Digest] = set()
        self._tagged: dict[str, Digest] = {}

    def __str__(self) -> str:
        return f"{self.transport.host}/{self.name}"

    @property
    def origin(self) -> str:
        """``registry/repository``: where content copied from or to here is known to exist."""
        return str(self)

    # Source

    def resolve(self, name: str) -> Descriptor:
        """The descriptor of the manifest with tag or digest `name`.  Raises: NotFound."""
        return self.run(client.resolve(self.name, name))

    def open(self, descriptor: Descriptor, offset: int = 0) -> BlobReader:
        """A reader from `offset` on; the bytes are counted, not verified.

        Raises, before it returns: NotFound, Denied, Unavailable.
        """
        if not 0 <= offset <= descriptor.size:
            raise Invalid(f"offset {offset} lies outside of {descriptor.digest}")
        if descriptor.media_type in media.DOCUMENTS:
            raw, _ = self.run(client.get_manifest(self.name, descriptor.digest))
            return _Held(raw[offset:])
        if offset and offset == descriptor.size:
            self.run(client.stat_blob(self.name, descriptor.digest))
            return _Held(b"")
        opened = self.run(client.open_blob(self.name, descriptor.digest, offset))
        reader = RemoteReader(opened.stream, descriptor, opened.offset, self.transport.host)
        try:
            if opened.length is not None and opened.offset + opened.length != descriptor.size:
                raise Corrupt(
                    f"{self}: {descriptor.digest} has {opened.offset + opened.length} bytes,"
                    f" not {descriptor.size}"
                )
            reader.skip(offset - opened.offset)
        except BaseException:
            reader.close()
            raise
        return reader

    def tags(self) -> Iterator[str]:
        """All tags, in the registry's order, page by page."""
        target, pages = "", 0
        while True:
            page = self.run(client.list_tags(self.name, target))
            yield from page.names
            pages += 1
            if not page.next or page.next == target or pages > 100_000:
                return
            target = page.next

    # Sink

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the repository has the blob or manifest."""
        try:
            if descriptor.media_type in media.DOCUMENTS:
                self.run(client.resolve(self.name, descriptor.digest))
            else:
                self.run(client.stat_blob(self.name, descriptor.digest))
        except NotFound:
            return False
        return True

    def ingest(self, descriptor: Descriptor | None = None, name: str = "") -> Ingest:
        """Begin to push a blob, or a manifest under `name` (empty: its digest alone).

        An upload of the same blob that was cut off goes on where the registry says.
        """
        if descriptor is not None and descriptor.media_type in media.DOCUMENTS:
            return ManifestUpload(self, descriptor, name)
        if descriptor is not None and (location := self.take_unfinished(descriptor.digest)):
            progress = self._progress(location, descriptor)
            if progress is not None:
                return BlobUpload(self, descriptor, progress.location, progress.offset)
        algorithm = descriptor.digest.algorithm if descriptor is not None else "sha256"
        location = self.run(client.start_upload(self.name, algorithm))
        return BlobUpload(self, descriptor, location, 0)

    def stream(self) -> BlobUpload:
        """Begin to push a blob whose digest only `commit` is told: the registry verifies it."""
        return BlobUpload(self, None, self.run(client.start_upload(self.name)), 0, hashes=False)

    def took(self, digest: Digest) -> bool:
        """Whether a streamed upload of the blob was closed well."""
        return digest in self._taken

    def tag(self, name: str, descriptor: Descriptor) -> None:
        """Let the tag `name` stand for a manifest of this repository.  Raises: NotFound."""
        if self._tagged.get(name) == descriptor.digest:
            return
        if ":" in name:
            if Digest(name) != descriptor.digest:
                raise Invalid(f"{self}: the name {name} is the digest of something else")
            if not self.has(descriptor):
                raise NotFound(f"{self} has no {descriptor.digest}")
            return
        raw, media_type = self.run(client.get_manifest(self.name, descriptor.digest))
        self.put_manifest(name, raw, media_type)

    def mount(self, descriptor: Descriptor, repository: str) -> bool:
        """Take the blob from `repository` of the same registry.  False: it has to be sent."""
        if repository == self.name or descriptor.media_type in media.DOCUMENTS:
            return False
        try:
            location = self.run(
                client.mount(self.name, descriptor.digest, repository),
                repository_scope(repository, "pull"),
            )
        except (NotFound, Invalid):
            return False
        if location:
            self.keep_unfinished(descriptor.digest, location)
        return not location

    # Further

    def delete(self, descriptor: Descriptor) -> None:
        """Delete a manifest or a blob from the repository.  Raises: NotFound, Unsupported."""
        if descriptor.media_type in media.DOCUMENTS:
            self.run(client.delete_manifest(self.name, descriptor.digest))
        else:
            self._taken.discard(descriptor.digest)
            self.run(client.delete_blob(self.name, descriptor.digest))
        self._tagged = {k: v for k, v in self._tagged.items() if v != descriptor.digest}

    def untag(self, name: str) -> None:
        """Delete the tag `name` alone.  Raises: NotFound; Unsupported: the registry does not."""
        self._tagged.pop(name, None)
        self.run(client.delete_manifest(self.name, name))

    def run(self, dialogue: Dialogue[T], *further: Scope) -> T:
        """Drive a dialogue about this repository."""
        return self.transport.run(dialogue, self._scope, *further)

    def put_manifest(self, name: str, raw: bytes, media_type: str) -> None:
        """Store a manifest under a tag or its digest."""
        stored = self.run(client.put_manifest(self.name, name, raw, media_type))
        self._tagged[name] = stored.digest

    def keep_taken(self, digest: Digest) -> None:
        """Remember a blob that was streamed to here."""
        self._taken.add(digest)

    def keep_unfinished(self, digest: Digest, location: str) -> None:
        """Remember an upload that may go on later."""
        with self._lock:
            self._unfinished[digest] = location

    def take_unfinished(self, digest: Digest) -> str:
        """The upload to go on with, for one taker; empty: none."""
        with self._lock:
            return self._unfinished.pop(digest, "")

    def _progress(self, location: str, descriptor: Descriptor) -> client.Progress | None:
        """How far a cut-off upload is; None: it is of no use any more."""
        try:
            progress = self.run(client.upload_status(location))
        except Unavailable:
            self.keep_unfinished(descriptor.digest, location)
            raise
        except CortenError:
            return None
        if progress.offset > descriptor.size:
            self.run(client.cancel_upload(progress.location))
            return None
        return progress


class RemoteReader:
    """Bytes of one blob as they arrive; it never ends early in silence."""

    def __init__(self, stream: Stream, descriptor: Descriptor, offset: int, host: str) -> None:
        self._stream = stream
        self._left = descriptor.size - offset
        self._descriptor = descriptor
        self._host = host

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes.  Raises: Unavailable: cut off; Corrupt: longer than it should be."""
        if size < 0:
            return b"".join(iter(lambda: self.read(PIECE), b""))
        if self._left == 0:
            if size and self._stream.read(1):
                raise Corrupt(
                    f"{self._host} sent more than {self._descriptor.size} bytes"
                    f" for {self._descriptor.digest}"
                )
            return b""
        try:
            data = self._stream.read(min(size, self._left))
        except Disconnected as error:
            raise self._cut_off() from error
        if not data and size:
            raise self._cut_off()
        self._left -= len(data)
        return data

    def _cut_off(self) -> Unavailable:
        whole = self._descriptor.size
        return Unavailable(
            f"{self._host} closed the connection after {whole - self._left} of {whole} bytes"
            f" of {self._descriptor.digest}",
            hint="try again: what came is kept, and it goes on from there",
        )

    def skip(self, count: int) -> None:
        """Read and drop `count` bytes: the registry knows no ranges."""
        while count > 0:
            count -= len(self.read(min(PIECE, count)))

    def close(self) -> None:
        """Give the connection back, or drop it where bytes are left."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Held(io.BytesIO):
    """A document that was read whole, as a reader."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(size)
