"""Writing gzip with all cores: blocks of a MiB are deflated side by side and joined in order.

The result is one gzip member (RFC 1952) with one DEFLATE stream, as any reader
expects.  Each block ends at a byte boundary (an empty stored block, RFC 1951,
3.2.4) and may refer to the 32 KiB before it; so it depends on the input alone,
and the bytes are the same however many threads there are.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

BLOCK = 1024 * 1024
_WINDOW = 32 * 1024
# No name, no time, "unknown" operating system: nothing but the input decides.
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_AHEAD = 2


class GzipDeflater:
    """A `Deflater` for gzip at isal's `level` (0 to 3), with `threads` (0: one a core).

    Memory: about 2 MiB for each thread and two more blocks.
    """

    def __init__(self, write: Callable[[bytes], object], level: int, threads: int = 0) -> None:
        from isal import isal_zlib

        self._crc32 = isal_zlib.crc32
        self._write = write
        self._level = level
        self._threads = threads or os.cpu_count() or 1
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: deque[Future[bytes]] = deque()
        self._held = bytearray()
        self._before = b""
        self._crc = 0
        self._size = 0
        write(_HEADER)

    def feed(self, data: bytes | memoryview, /) -> None:
        """The next bytes.  Raises: what writing raises."""
        self._crc = self._crc32(data, self._crc)
        self._size += len(data)
        if not self._held and len(data) == BLOCK:
            self._block(bytes(data))
            return
        self._held += data
        while len(self._held) >= BLOCK:
            self._block(bytes(self._held[:BLOCK]))
            del self._held[:BLOCK]

    def finish(self) -> None:
        """There are no more: write what is left.  Raises: what writing raises."""
        last = _deflate(bytes(self._held), self._before, self._level, last=True)
        try:
            while self._waiting:
                self._write(self._waiting.popleft().result())
        finally:
            self._close()
        self._write(last + struct.pack("<II", self._crc, self._size & 0xFFFFFFFF))

    def _block(self, data: bytes) -> None:
        before, self._before = self._before, data[-_WINDOW:]
        if self._threads == 1:
            self._write(_deflate(data, before, self._level))
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, "corten-deflate")
        self._waiting.append(self._pool.submit(_deflate, data, before, self._level))
        if len(self._waiting) >= self._threads + _AHEAD:
            try:
                self._write(self._waiting.popleft().result())
            except BaseException:
                self._close()  # nobody calls `finish` after an error
                raise

    def _close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def _deflate(data: bytes, before: bytes, level: int, *, last: bool = False) -> bytes:
    """A part of a DEFLATE stream that goes on after `before` and ends on a byte."""
    from isal import isal_zlib

    raw = -15
    if before:
        stream = isal_zlib.compressobj(level, isal_zlib.DEFLATED, raw, zdict=before)
    else:
        stream = isal_zlib.compressobj(level, isal_zlib.DEFLATED, raw)
    head = stream.compress(data)
    return head + stream.flush(isal_zlib.Z_FINISH if last else isal_zlib.Z_SYNC_FLUSH)
