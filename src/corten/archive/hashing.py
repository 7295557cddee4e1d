"""Hashing in a second thread, so that it runs beside reading, inflating and writing."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from corten.archive.handing import BoundedQueue
from corten.oci.digest import Digest, new_hasher

_DEPTH = 4
_GATHER = 256 * 1024


class ThreadedHasher:
    """A hasher whose work is done by a thread of its own.  A context manager.

    It takes the place of a `hashlib` object: `update` hands a piece over and
    returns (waiting only while a few MiB are queued), `hexdigest` waits for all
    of them and ends the thread.  Small pieces are gathered first.  Pieces that
    are not ``bytes`` are copied, so the caller may reuse its buffer.

    Raises: Invalid: corten cannot compute `algorithm`.
    """

    def __init__(self, algorithm: str = "sha256") -> None:
        self.algorithm = algorithm
        self._hasher = new_hasher(algorithm)
        self._queue: BoundedQueue[bytes | None] = BoundedQueue(_DEPTH)
        self._small: list[bytes] = []
        self._gathered = 0
        self._thread: threading.Thread | None = None
        self._closed = False

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """The next bytes."""
        if self._closed:
            raise ValueError("this hasher has given its digest already")
        piece = data if isinstance(data, bytes) else bytes(data)
        self._gathered += len(piece)
        self._small.append(piece)
        if self._gathered >= _GATHER:
            self._send()

    def hexdigest(self) -> str:
        """The digest of everything so far; nothing can be added afterwards."""
        if not self._closed:
            if self._thread is None:
                for piece in self._small:
                    self._hasher.update(piece)
            elif self._small:
                self._send()
            self.close()
        return self._hasher.hexdigest()

    def digest(self) -> Digest:
        """The same as a :class:`Digest`."""
        self.hexdigest()
        return Digest.from_hasher(self._hasher, self.algorithm)

    def close(self) -> None:
        """End the thread; what is queued is still hashed."""
        self._closed = True
        self._small.clear()
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _send(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="corten-hasher", daemon=True)
            self._thread.start()
        self._queue.put(self._small[0] if len(self._small) == 1 else b"".join(self._small))
        self._small.clear()
        self._gathered = 0

    def _run(self) -> None:
        while (piece := self._queue.get()) is not None:
            self._hasher.update(piece)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
