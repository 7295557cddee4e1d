"""A program for another processor, written by hand: no compiler is needed."""

from __future__ import annotations

import struct

_CODE = struct.pack(
    "<8I",
    0xD2800448,  # mov x8, #34      mkdirat
    0x92800C60,  # mov x0, #-100    AT_FDCWD
    0x100000C1,  # adr x1, path     behind the code
    0xD2803DA2,  # mov x2, #0755
    0xD4000001,  # svc #0
    0xD2800BA8,  # mov x8, #93      exit
    0xD2800000,  # mov x0, #0
    0xD4000001,  # svc #0
)
_BASE = 0x400000
_HEADERS = 64 + 56


def arm64_mkdir(path: str) -> bytes:
    """A static ELF program for linux/arm64 that makes the directory `path` (0755) and ends well."""
    body = _CODE + path.encode() + b"\0"
    size = _HEADERS + len(body)
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = struct.pack(
        "<HHIQQQIHHHHHH", 2, 183, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 64, 0, 0
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return ident + header + segment + body
