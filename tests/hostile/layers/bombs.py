"""Layers that are small to send and large to take, as streams: nothing here is ever whole in memory."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from support.tars import END, directory, file, header, pack, padded, pax, record, symlink

MIB = 1 << 20
_ZEROS = bytes(MIB)


def zeros(size: int) -> Iterator[bytes]:
    """A file of `size` zeros; a multiple of a MiB."""
    yield header(b"zeros", size=size)
    for _ in range(size // MIB):
        yield _ZEROS
    yield END


def zeros_by_zstd(size: int) -> Iterator[bytes]:
    """A file of `size` zeros in zstd as small as the format lets it be.

    Each block of 128 KiB takes four bytes: it says that one byte is repeated (RFC 8878, 3.1.1.2).
    """
    head = header(b"zeros", size=size)
    yield b"\x28\xb5\x2f\xfd\x00" + bytes([(17 - 10) << 3])
    yield struct.pack("<I", len(head) << 3)[:3] + head
    block = struct.pack("<I", (128 * 1024 << 3) | 2)[:3] + b"\0"
    for _ in range(size // MIB):
        yield block * 8
    yield struct.pack("<I", (len(END) << 3) | 3)[:3] + b"\0"


def members(count: int, *, distinct: bool) -> Iterator[bytes]:
    """`count` empty files, of as many names or all of one."""
    plain = header(b"d00/0000000")
    rest = plain[156:]
    summed = sum(plain[:148]) + sum(rest) + 8 * 32 - sum(b"d00/0000000")
    pieces = []
    for number in range(count):
        name = b"d%02d/%07d" % (number % 100, number) if distinct else b"d00/0000000"
        sum_now = summed + sum(name)
        pieces.append(name + plain[len(name) : 148] + b"%06o\0 " % sum_now + rest)
        if len(pieces) == 2048:
            yield b"".join(pieces)
            pieces.clear()
    yield b"".join(pieces)
    yield END


def extensions(count: int) -> Iterator[bytes]:
    """`count` pax headers of nearly a MiB, each with a keyword of its own, for one member."""
    for number in range(count):
        yield pax(record(b"comment%d" % number, b"x" * 1_000_000))
    yield header(b"a") + END


def long_names(count: int) -> Iterator[bytes]:
    """`count` GNU long names for one member."""
    one = header(b"././@LongLink", flag=b"L", size=200) + padded(b"n" * 200)
    for _ in range(count // 1000):
        yield one * 1000
    yield header(b"a") + END


def global_headers(count: int, members_after: int) -> Iterator[bytes]:
    """Global headers with `count` keywords, which would count for each of the members after."""
    yield pax(b"".join(record(b"SCHILY.xattr.user.%d" % n, b"") for n in range(count)), flag=b"g")
    yield header(b"a") * members_after
    yield END


def records(count: int) -> Iterator[bytes]:
    """A million pax records and more, as many as fit in one header, for member after member."""
    body = b"".join(record(b"k%d" % n, b"v") for n in range(50_000))
    for number in range(count // 50_000):
        yield pax(body) + header(b"a%d" % number)
    yield END


def deep(count: int) -> Iterator[bytes]:
    """Directories `count` deep, though no path is longer than 4096 bytes: symlinks shorten it."""
    step = 2000
    yield pack(file(b"d/" * step + b"x"))[:-1024]
    before = b"d/" * step
    for number in range(1, count // step):
        name = b"s%d" % number
        yield pack(symlink(name, before.rstrip(b"/")))[:-1024]
        yield pack(directory(name + b"/" + b"d/" * step))[:-1024]
        before = name + b"/" + b"d/" * (step - 10)
    yield END


def links(count: int) -> Iterator[bytes]:
    """One file under `count` further names."""
    yield pack(file(b"a", b"x"))[:-1024]
    for number in range(count):
        yield header(b"h%d" % number, flag=b"1", linkname=b"a")
    yield END


def attributes(count: int) -> Iterator[bytes]:
    """`count` files, each with 100 KB of attributes."""
    body = b"".join(record(b"SCHILY.xattr.user.%d" % n, b"x" * 50_000) for n in range(2))
    for number in range(count):
        yield pax(body) + header(b"a%d" % number)
    yield END


def holes(count: int) -> Iterator[bytes]:
    """`count` sparse files of 100 GiB."""
    for number in range(count):
        sparse = {b"GNU.sparse.map": b"0,512", b"GNU.sparse.size": b"%d" % (100 << 30)}
        yield pax(sparse) + header(b"s%d" % number, size=512) + bytes(512)
    yield END
