"""Pushes: a blob that is sent while it is written, a manifest that is sent at the end.

A sink is written to, an HTTP client wants to read: a blob above one piece is
sent by a thread that takes pieces from a short queue, in one request.  A smaller
blob goes out whole with the request that closes the upload.  A blob that is still
being made is sent without its length and digest.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from corten.content.protocols import PIECE, Buffer
from corten.errors import Cancelled, Corrupt, CortenError, Unavailable
from corten.oci import media
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest, new_hasher
from corten.oci.manifest import MANIFEST_LIMIT
from corten.wire import client

if TYPE_CHECKING:
    from corten.remote.repository import RemoteRepository

_AHEAD = 2
"""Pieces between the writer and the sender."""


class _Pipe:
    """A request body that another thread writes.  ``None`` in the queue ends it, an error breaks it."""

    def __init__(self, length: int | None) -> None:
        self.length = length
        self.queue: queue.Queue[bytes | CortenError | None] = queue.Queue(_AHEAD)

    def __iter__(self) -> Iterator[bytes]:
        while (piece := self.queue.get()) is not None:
            if isinstance(piece, CortenError):
                raise piece
            yield piece


class _Sender:
    """A thread that sends one chunk of an upload while it is written."""

    def __init__(
        self, repository: RemoteRepository, location: str, offset: int, length: int | None
    ) -> None:
        self._repository = repository
        self._location = location
        self._offset = offset
        self._pipe = _Pipe(length)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._send, name="corten-upload", daemon=True)
        self._thread.start()

    def put(self, data: bytes) -> None:
        """Hand over a piece.  Raises: what the sending raised."""
        self._offer(data)

    def finish(self) -> str:
        """Wait for the answer; the location to go on with.  Raises: what the sending raised."""
        self._offer(None)
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._location

    def abort(self) -> None:
        """Break the request off: the registry keeps what it has."""
        with suppress(CortenError):
            self._offer(Cancelled("upload broken off"))
        self._thread.join()

    def _offer(self, item: bytes | CortenError | None) -> None:
        while True:
            if not self._thread.is_alive():
                if item is None:
                    return
                self._error = self._error or Unavailable(
                    f"{self._repository.transport.host} ended an upload before its end"
                )
                raise self._error
            try:
                self._pipe.queue.put(item, timeout=0.2)
            except queue.Full:
                continue
            return

    def _send(self) -> None:
        try:
            self._location = self._repository.run(
                client.send_chunk(self._location, self._pipe, self._offset, self._pipe.length)
            )
        except BaseException as error:
            self._error = error


class BlobUpload:
    """One blob on its way to a registry.  An :class:`~corten.content.protocols.Ingest`.

    One without a descriptor that does not hash (`hashes`) has to be told its digest by `commit`.
    """

    def __init__(
        self,
        repository: RemoteRepository,
        descriptor: Descriptor | None,
        location: str,
        offset: int,
        *,
        hashes: bool = True,
    ) -> None:
        self.offset = offset
        self._begin = offset
        self._repository = repository
        self._descriptor = descriptor
        self._location = location
        self._digest = None if descriptor is None else descriptor.digest
        self._hasher = new_hasher() if descriptor is None and hashes else None
        self._held = bytearray()
        self._sender: _Sender | None = None
        self._over = False

    def write(self, data: Buffer, /) -> int:
        """Append `data`.

        Raises: Corrupt: more than the descriptor's size; Unavailable: the registry
        went away; what else it answers meanwhile.
        """
        length = len(data) if not isinstance(data, memoryview) else data.nbytes
        if self._descriptor is not None and self.offset + length > self._descriptor.size:
            raise Corrupt(
                f"{self._descriptor.digest} is longer than its {self._descriptor.size} bytes"
            )
        if self._hasher is not None:
            self._hasher.update(data)
        self.offset += length
        if self._sender is None and len(self._held) + length <= PIECE:
            self._held += data
            return length
        if self._sender is None:
            self._sender = self._start()
        if length:
            self._sender.put(bytes(data))
        return length

    def commit(self, expected: Digest | None = None) -> Descriptor:
        """Send the rest and close the upload; the registry verifies.

        Raises: Corrupt: not the descriptor's size, not `expected`, or the
        registry found another digest; the upload is given up.
        """
        descriptor = self._result(expected)
        self._digest = descriptor.digest
        body = bytes(self._held)
        if self._sender is not None:
            self._location = self._sender.finish()
            self._sender = None
            body = b""
        elif self._begin and body:
            # A resumed upload's rest goes the way of chunks: with its place said.
            self._location = self._repository.run(
                client.send_chunk(self._location, body, self._begin, len(body))
            )
            body = b""
        self._repository.run(client.finish_upload(self._location, descriptor.digest, body))
        if self._descriptor is None:
            self._repository.keep_taken(descriptor.digest)
        self._over = True
        return descriptor

    def _result(self, expected: Digest | None) -> Descriptor:
        if self._descriptor is None:
            if self._hasher is None:
                assert expected is not None
                digest = expected
            else:
                digest = Digest.from_hasher(self._hasher)
            if expected is not None and expected.algorithm != digest.algorithm:
                digest = expected
            found = Descriptor(media_type=media.OCTET_STREAM, digest=digest, size=self.offset)
        else:
            found = self._descriptor
            if self.offset != found.size:
                raise Corrupt(f"{found.digest} has {self.offset} bytes instead of {found.size}")
        if expected is not None and found.digest != expected:
            raise Corrupt(f"the content is {found.digest}, not {expected}")
        return found

    def _start(self) -> _Sender:
        length = None if self._descriptor is None else self._descriptor.size - self._begin
        sender = _Sender(self._repository, self._location, self._begin, length)
        if self._held:
            sender.put(bytes(self._held))
            self._held.clear()
        return sender

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the upload up, or keep it for another try where a host went away."""
        if self._over:
            return
        self._over = True
        if self._sender is not None:
            self._sender.abort()
        cut_off = isinstance(error, Unavailable)
        if cut_off and self._digest is not None:
            self._repository.keep_unfinished(self._digest, self._location)
            return
        with suppress(CortenError):
            self._repository.run(client.cancel_upload(self._location))


class ManifestUpload:
    """A manifest on its way to a registry: held, and PUT under its name when it is committed."""

    def __init__(self, repository: RemoteRepository, descriptor: Descriptor, name: str) -> None:
        self.offset = 0
        self._repository = repository
        self._descriptor = descriptor
        self._name = name
        self._held = bytearray()

    def write(self, data: Buffer, /) -> int:
        """Append `data`.  Raises: Corrupt: longer than the descriptor or the limit says."""
        if len(self._held) + len(data) > min(self._descriptor.size, MANIFEST_LIMIT):
            raise Corrupt(f"{self._descriptor.digest} is longer than it may be")
        self._held += data
        self.offset = len(self._held)
        return len(data)

    def commit(self, expected: Digest | None = None) -> Descriptor:
        """PUT it.  Raises: Corrupt; NotFound: the repository lacks what it names."""
        raw, wanted = bytes(self._held), self._descriptor
        found = Digest.of(raw, wanted.digest.algorithm)
        if len(raw) != wanted.size or found != wanted.digest or expected not in (None, found):
            raise Corrupt(
                f"the manifest is {found} ({len(raw)} bytes), not {expected or wanted.digest}"
            )
        self._repository.put_manifest(self._name or found, raw, wanted.media_type)
        return wanted

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._held.clear()
