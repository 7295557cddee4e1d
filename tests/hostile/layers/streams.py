"""Compressed streams that are cut, glued, padded, or ask for too much."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import zlib
from pathlib import Path

import zstandard

from corten.errors import Corrupt, CortenError, Invalid
from hostile.layers.case import Case, Copied, Rejected, always, has
from support.tars import file, pack

_PLAIN = pack(file(b"a", bytes(range(256)) * 40), file(b"b", b"x"))
_GZIP = gzip.compress(_PLAIN, 6, mtime=0)
_HALVES = (_PLAIN[:5000], _PLAIN[5000:])
_DAMAGED = Rejected("gzip data", Corrupt)
_ZSTD = zstandard.ZstdCompressor(write_checksum=True).compress(_PLAIN)
_DAMAGED_ZSTD = Rejected("zstd data", Corrupt)
_COPIED = Copied()
"""ADD: what cannot be inflated as far as a first header is no archive, but a file like any other."""
_CLIMBING = gzip.compress(pack(file(b"../../canary/file", b"evil")), mtime=0)


def _whole(tree: Path) -> None:
    assert (tree / "a").read_bytes() == bytes(range(256)) * 40
    assert (tree / "b").read_bytes() == b"x"


_BOTH = has(b"a", b"b", holds=_whole)


def gzip_header(flags: int, rest: bytes) -> bytes:
    """A gzip file of `_PLAIN` whose header has these flags and fields (RFC 1952, 2.3)."""
    return b"\x1f\x8b\x08" + bytes([flags]) + bytes(4) + b"\0\x03" + rest + _GZIP[10:]


def _zstd_window(exponent: int) -> bytes:
    """A frame that asks for a window of 2^`exponent` bytes (RFC 8878, 3.1.1.1.2)."""
    block = struct.pack("<I", (len(_PLAIN) << 3) | 1)[:3] + _PLAIN
    return b"\x28\xb5\x2f\xfd" + b"\0" + bytes([(exponent - 10) << 3]) + block


def _skippable(size: int, body: bytes) -> bytes:
    return struct.pack("<II", 0x184D2A50, size) + body


def _flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 0x55
    return bytes(changed)


def _zip() -> bytes:
    return b"PK\x03\x04" + bytes(26) + _PLAIN


CASES = (
    Case(
        "gzip cut in the header",
        always(_GZIP[:7]),
        Rejected("gzip data ends in the middle", Corrupt),
        added=_COPIED,
    ),
    Case(
        "gzip cut in the data",
        always(_GZIP[: len(_GZIP) // 2]),
        Rejected("gzip data ends", Corrupt),
    ),
    Case("gzip cut in the trailer", always(_GZIP[:-3]), Rejected("gzip data ends", Corrupt)),
    Case("gzip with a wrong checksum", always(_flipped(_GZIP, -7)), _DAMAGED, added=_COPIED),
    Case("gzip with a wrong length", always(_flipped(_GZIP, -2)), _DAMAGED, added=_COPIED),
    Case(
        "gzip with damaged data",
        always(_GZIP[:40] + bytes([255] * 200) + _GZIP[240:]),
        _DAMAGED,
        added=_COPIED,
    ),
    Case("gzip of an unknown method", always(_flipped(_GZIP, 2)), _DAMAGED, added=_COPIED),
    Case(
        "gzip members one behind another",
        always(b"".join(gzip.compress(h) for h in _HALVES)),
        _BOTH,
    ),
    Case(
        "second gzip member cut",
        always(gzip.compress(_HALVES[0]) + gzip.compress(_HALVES[1])[:-9]),
        Rejected("gzip data ends", Corrupt),
    ),
    Case(
        "gzip member hidden behind the first",
        always(_GZIP + _CLIMBING),
        _BOTH,
    ),
    Case(
        "gzip members between zeros",
        always(gzip.compress(_HALVES[0]) + bytes(700) + gzip.compress(_HALVES[1]) + bytes(5000)),
        _BOTH,
    ),
    Case("gzip with garbage behind", always(_GZIP + b"garbage" * 100), _DAMAGED),
    Case(
        "gzip with a tar behind",
        always(_GZIP + pack(file(b"../../canary/file", b"evil"))),
        _DAMAGED,
    ),
    Case(
        "forty thousand empty gzip members",
        always(gzip.compress(b"", mtime=0) * 40_000 + _GZIP),
        _BOTH,
    ),
    Case(
        "gzip header with 64 KiB of extra",
        always(gzip_header(4, b"\xff\xff" + bytes(65535))),
        _BOTH,
    ),
    Case(
        "gzip header with a name of 2 MiB",
        always(gzip_header(8, b"n" * (2 << 20) + b"\0")),
        _BOTH,
        added=_COPIED,
    ),
    Case(
        "gzip header with an endless comment",
        always(gzip_header(16, b"n" * (1 << 20))[: 1 << 20]),
        Rejected("gzip data", Corrupt),
        added=_COPIED,
    ),
    Case(
        "gzip in gzip",
        always(gzip.compress(_CLIMBING)),
        Rejected("malformed tar|ends in the middle"),
        added=_COPIED,
    ),
    Case("gzip of nothing", always(gzip.compress(b"")), has(), added=_COPIED),
    Case(
        "gzip magic and nothing more",
        always(b"\x1f\x8b"),
        Rejected("gzip data ends", Corrupt),
        added=_COPIED,
    ),
    Case(
        "zstd window of 2^31",
        always(_zstd_window(31)),
        Rejected("zstd data", Corrupt),
        added=_COPIED,
    ),
    Case(
        "zstd window of 2^41",
        always(_zstd_window(41)),
        Rejected("zstd data", Corrupt),
        added=_COPIED,
    ),
    Case("zstd window of 2^27", always(_zstd_window(27)), _BOTH),
    Case("zstd cut in the data", always(_ZSTD[:-50]), _DAMAGED_ZSTD, added=_COPIED),
    Case("zstd cut in the checksum", always(_ZSTD[:-2]), _DAMAGED_ZSTD),
    Case("zstd with a wrong checksum", always(_flipped(_ZSTD, -1)), _DAMAGED_ZSTD, added=_COPIED),
    Case(
        "zstd that needs a dictionary",
        always(b"\x28\xb5\x2f\xfd\x03\x00\x01\x02\x03\x04" + bytes(20)),
        _DAMAGED_ZSTD,
        added=_COPIED,
    ),
    Case("zstd with garbage behind", always(_ZSTD + b"garbage" * 10), _DAMAGED_ZSTD, added=_COPIED),
    Case(
        "zstd frames one behind another",
        always(b"".join(zstandard.ZstdCompressor().compress(h) for h in _HALVES)),
        _BOTH,
    ),
    Case(
        "skippable frames around zstd",
        always(_skippable(9, b"../canary") + _ZSTD + _skippable(3, b"end")),
        _BOTH,
    ),
    Case(
        "skippable frames and nothing else",
        always(_skippable(9, b"../canary") * 50),
        has(),
        added=_COPIED,
    ),
    Case(
        "skippable frame of 4 GiB",
        always(_skippable(0xFFFFFFFF, b"cut") + _ZSTD),
        _DAMAGED_ZSTD,
        added=_COPIED,
    ),
    Case(
        "forty thousand empty zstd frames",
        always(zstandard.ZstdCompressor().compress(b"") * 40_000 + _ZSTD),
        _BOTH,
    ),
    Case(
        "unknown compression",
        always(b"\x04\x22\x4d\x18" + _PLAIN),
        Rejected("malformed tar"),
        added=_COPIED,
    ),
    Case(
        "compress of old",
        always(b"\x1f\x9d\x90" + _PLAIN),
        Rejected("malformed tar"),
        added=_COPIED,
    ),
    Case("zip", always(_zip()), Rejected("malformed tar"), added=_COPIED),
    Case(
        "zlib without gzip",
        always(zlib.compress(_PLAIN)),
        Rejected("malformed tar|ends in the middle"),
        added=_COPIED,
    ),
    Case(
        "xz cut",
        always(lzma.compress(_PLAIN)[:-20]),
        Rejected("xz data|compressed by xz", CortenError),
        added=Rejected("xz data", Corrupt),
    ),
    Case(
        "bzip2 cut",
        always(bz2.compress(_PLAIN)[:-20]),
        Rejected("bzip2 data|compressed by bzip2", CortenError),
        added=_COPIED,
    ),
    Case("nothing", always(b""), has(), added=_COPIED),
    Case("one byte", always(b"x"), Rejected("ends in the middle", Invalid), added=_COPIED),
)
