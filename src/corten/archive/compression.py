"""Compression in push mode: bytes go in in pieces, pieces go out through a callable.

Reads gzip (RFC 1952, with several members), zstd (RFC 8878), bzip2 and xz; writes
gzip and zstd, with bytes that depend on nothing but the input.  Memory is
bounded whatever the input: output leaves in pieces of at most a MiB (zstd: what
2 KiB of input can expand to).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

from corten.archive.expansion import Expansion
from corten.errors import Corrupt, Unsupported

Compression = Literal["", "gzip", "zstd", "bzip2", "xz"]
Write = Callable[[bytes], object]

PIECE = 1024 * 1024
MAGIC = 6
"""How many first bytes :func:`detect` wants to see."""
GZIP_LEVEL = 2
ZSTD_LEVEL = 3
WINDOW_LIMIT = 128 * 1024 * 1024
"""The largest zstd window that is accepted, in bytes; xz dictionaries likewise."""

_ZSTD_INPUT = 2048
_MEMBER_STEP = 16 * 1024


def detect(head: bytes) -> Compression:
    """The compression that bytes beginning with `head` have; ``""`` if none is known."""
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return "zstd"
    if len(head) >= 4 and head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F:
        return "zstd"  # a skippable frame in front (RFC 8878, 3.1.2)
    if head.startswith(b"BZh"):
        return "bzip2"
    if head.startswith(b"\xfd7zXZ\x00"):
        return "xz"
    return ""


class Inflater(Protocol):
    """Takes compressed bytes, hands the inflated ones to the callable it was made with."""

    def feed(self, data: bytes | memoryview, /) -> None:
        """The next compressed bytes.  Raises: Corrupt."""

    def finish(self) -> None:
        """There are no more.  Raises: Corrupt: the stream ended in the middle."""


class Deflater(Protocol):
    """Takes bytes, hands the compressed ones to the callable it was made with."""

    def feed(self, data: bytes | memoryview, /) -> None:
        """The next bytes."""

    def finish(self) -> None:
        """There are no more: write what is left."""


def inflater(compression: str, write: Write, limit: int | None = None) -> Inflater:
    """An inflater for `compression` (``""`` passes bytes on) that calls `write` with pieces.

    With `limit` its `feed` raises TooLarge where bytes expand beyond that without
    measure; see `Expansion`.  Raises: Unsupported: a compression that is not known.
    """
    if limit is not None and compression:
        return _Limited(compression, write, Expansion(limit))
    match compression:
        case "":
            return _Plain(write)
        case "gzip" | "bzip2" | "xz":
            return _Members(compression, write)
        case "zstd":
            return _Zstd(write)
    raise Unsupported(f"cannot read {compression} compression")


def deflater(
    compression: str, write: Write, level: int | None = None, threads: int = 0
) -> Deflater:
    """A deflater for ``""``, ``gzip`` or ``zstd``.

    `level` is isal's 0..3 for gzip, 1..22 for zstd; None is corten's choice.  The
    gzip header has no time and no name.  `threads` (gzip's; 0: one a core) does not
    change the bytes.  Raises: Unsupported.
    """
    match compression:
        case "":
            return _Plain(write)
        case "gzip":
            from corten.archive.deflating import GzipDeflater

            return GzipDeflater(write, GZIP_LEVEL if level is None else level, threads)
        case "zstd":
            return _ZstdDeflater(write, ZSTD_LEVEL if level is None else level)
    raise Unsupported(f"cannot write {compression} compression", hint="use gzip or zstd")


class _Plain:
    def __init__(self, write: Write) -> None:
        self._write = write

    def feed(self, data: bytes | memoryview, /) -> None:
        if len(data):
            self._write(data if isinstance(data, bytes) else bytes(data))

    def finish(self) -> None:
        pass


class _Limited:
    """An inflater that minds how far its bytes expand."""

    def __init__(self, compression: str, write: Write, expansion: Expansion) -> None:
        self._expansion = expansion
        self._write = write
        self._inner = inflater(compression, self._give)
        self.finish = self._inner.finish

    def feed(self, data: bytes | memoryview, /) -> None:
        self._expansion.take(len(data))
        self._inner.feed(data)

    def _give(self, piece: bytes) -> None:
        self._expansion.give(len(piece))
        self._write(piece)


class _Members:
    """gzip, bzip2 and xz: streams that may follow one another in one file."""

    def __init__(self, compression: str, write: Write) -> None:
        self._name = compression
        self._write = write
        self._stream = _decompressor(compression)
        self._begun = False
        self._seen = False

    def feed(self, data: bytes | memoryview, /) -> None:
        whole = data if isinstance(data, bytes) else bytes(data)
        at, end = 0, len(whole)
        step = end
        while at < end:
            part = whole[at : at + step]
            if not self._begun:
                if self._seen and not (rest := part.lstrip(b"\0")):
                    at += len(part)  # padding between or after members
                    continue
                if self._seen:
                    at += len(part) - len(rest)
                    part = rest
                self._begun = self._seen = True
            at += len(part) - self._pump(part)
            # After a member's end comes perhaps another: with thousands of small ones, what
            # follows each must not be copied whole.
            step = end if self._begun else _MEMBER_STEP

    def _pump(self, data: bytes) -> int:
        """Inflate; returns how many bytes follow the end of the member, if it ended."""
        stream, write = self._stream, self._write
        try:
            piece = stream.decompress(data, PIECE)
            while True:
                if piece:
                    write(piece)
                if stream.eof:
                    break
                if stream.needs_input:
                    return 0
                piece = stream.decompress(b"", PIECE)
        except _stream_errors(self._name) as error:
            raise Corrupt(f"the {self._name} data is damaged: {error}") from error
        self._begun = False
        self._stream = _decompressor(self._name)
        return len(stream.unused_data)

    def finish(self) -> None:
        if self._begun or not self._seen:
            raise Corrupt(f"the {self._name} data ends in the middle")


def _decompressor(compression: str) -> Any:
    if compression == "gzip":
        from isal import igzip_lib

        return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    if compression == "bzip2":
        import bz2

        return bz2.BZ2Decompressor()
    import lzma

    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=WINDOW_LIMIT)


def _stream_errors(compression: str) -> tuple[type[Exception], ...]:
    if compression == "gzip":
        from isal import igzip_lib

        failure: Any = igzip_lib.IsalError  # its stub calls it an instance
        return (failure, EOFError)
    if compression == "bzip2":
        return (OSError, ValueError, EOFError)
    import lzma

    return (lzma.LZMAError, EOFError)


class _Zstd:
    def __init__(self, write: Write) -> None:
        import zstandard

        self._error = zstandard.ZstdError
        self._frames = zstandard.ZstdDecompressor(max_window_size=WINDOW_LIMIT)
        self._frame: Any = None
        self._seen = False
        self._write = write
        self._pending: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes | memoryview, /) -> None:
        view = memoryview(data)
        for at in range(0, len(view), _ZSTD_INPUT):
            rest = bytes(view[at : at + _ZSTD_INPUT])
            while rest:
                if self._frame is None:
                    self._frame = self._frames.decompressobj()
                    self._seen = True
                try:
                    piece = self._frame.decompress(rest)
                except self._error as error:
                    raise Corrupt(f"the zstd data is damaged: {error}") from error
                if piece:
                    self._emit(piece)
                rest = b""
                if self._frame.eof:
                    rest = self._frame.unused_data
                    self._frame = None

    def _emit(self, piece: bytes) -> None:
        if self._size + len(piece) > 2 * PIECE and self._pending:
            self._flush()
        self._pending.append(piece)
        self._size += len(piece)
        if self._size >= PIECE:
            self._flush()

    def _flush(self) -> None:
        joined = self._pending[0] if len(self._pending) == 1 else b"".join(self._pending)
        self._pending.clear()
        self._size = 0
        for at in range(0, len(joined), PIECE):
            self._write(joined[at : at + PIECE])

    def finish(self) -> None:
        if self._pending:
            self._flush()
        if self._frame is not None or not self._seen:
            raise Corrupt("the zstd data ends in the middle")


class _ZstdDeflater:
    def __init__(self, write: Write, level: int) -> None:
        import zstandard

        compressor = zstandard.ZstdCompressor(level=level, write_checksum=True)
        self._stream = compressor.compressobj()
        self._write = write

    def feed(self, data: bytes | memoryview, /) -> None:
        out = self._stream.compress(data)
        if out:
            self._write(out)

    def finish(self) -> None:
        self._write(self._stream.flush())
