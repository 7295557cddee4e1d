"""Sparse members whose maps lie, and holes larger than any disk."""

from __future__ import annotations

from pathlib import Path

from corten.archive.expansion import TooLarge
from corten.errors import Unsupported
from hostile.layers.case import Case, Contained, Rejected, always, has
from support.tars import header, padded, pax

_OVERLAPS = Rejected("overlaps itself or leaves the file")
_TERABYTE = 1 << 40


def sparse(numbers: bytes, size: int, stored: int = 512, name: bytes = b"s") -> bytes:
    """A member in GNU's pax form 0.1."""
    records = {b"GNU.sparse.map": numbers, b"GNU.sparse.size": b"%d" % size}
    return pax(records) + header(name, size=stored) + bytes(-(-stored // 512) * 512)


def _form_one(text: bytes, size: int, data: bytes = b"") -> bytes:
    records = {
        b"GNU.sparse.major": b"1",
        b"GNU.sparse.minor": b"0",
        b"GNU.sparse.name": b"s",
        b"GNU.sparse.realsize": b"%d" % size,
    }
    body = padded(text) + data
    return pax(records) + header(b"GNUSparseFile.0/s", size=len(body)) + padded(body)


def _old(pairs: bytes, real: bytes, *, more: bool = False, stored: int = 0) -> bytes:
    block = bytearray(header(b"s", flag=b"S", size=stored, magic=b"ustar  \0"))
    block[386 : 386 + len(pairs)] = pairs
    block[482] = more
    block[483:495] = real
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def _holes(tree: Path) -> None:
    with (tree / "s").open("rb") as file:
        assert file.seek(0, 2) == _TERABYTE
        file.seek(_TERABYTE - 4096)
        assert file.read() == bytes(4096)
        file.seek(0)
        assert file.read(4096) == bytes(4096)


_PAIR = b"%011o\0"

CASES = (
    Case(
        "1 TiB of holes",
        always(sparse(b"0,512", _TERABYTE)),
        Contained((b"s",), _holes),
        added=Rejected("s: .*expand to more", TooLarge),
    ),
    Case(
        "2 EiB of holes",
        always(sparse(b"0,512", 2**61)),
        Rejected("s: .*too large", Unsupported),
        added=Rejected("s: .*expand to more", TooLarge),
    ),
    Case(
        "many times 512 GiB of holes",
        always(b"".join(sparse(b"0,512", _TERABYTE // 2, name=b"s%d" % n) for n in range(3))),
        Rejected("s2: .*too large", Unsupported),
        added=Rejected("s0: .*expand to more", TooLarge),
    ),
    Case("sparse size of 2^63", always(sparse(b"0,512", 2**63)), Rejected("not a size")),
    Case("sparse map that overlaps", always(sparse(b"0,512,10,512", 9000, 1024)), _OVERLAPS),
    Case("sparse map out of order", always(sparse(b"4096,512,0,512", 9000, 1024)), _OVERLAPS),
    Case("sparse map beyond the file", always(sparse(b"0,512", 100)), _OVERLAPS),
    Case("sparse map that overflows", always(sparse(b"%d,512" % (2**63 - 10), 9000)), _OVERLAPS),
    Case(
        "sparse map of more than is stored",
        always(sparse(b"0,4096", 9000)),
        Rejected("4096 bytes, 512 are stored"),
    ),
    Case(
        "sparse map of less than is stored",
        always(sparse(b"0,1", 9000)),
        Rejected("1 bytes, 512 are stored"),
    ),
    Case("sparse map of odd length", always(sparse(b"0,512,600", 9000)), Rejected("odd number")),
    Case("sparse map of no numbers", always(sparse(b"0,x", 9000)), Rejected("a sparse map is")),
    Case("sparse map with a sign", always(sparse(b"-512,512", 9000)), Rejected("a sparse map is")),
    Case(
        "sparse map of 200,000 stretches",
        always(sparse(b",".join(b"%d,0" % n for n in range(70_000)), 2**30, 0)),
        Rejected("sparse map is too long|odd number of fields or too many"),
    ),
    Case(
        "sparse member without a map",
        always(_form_one(b"", 9000)),
        Rejected("has no map|sparse map"),
    ),
    Case(
        "sparse map without end",
        always(_form_one(b"100\n" + b"1\n" * 30, 9000)),
        Rejected("does not end"),
    ),
    Case(
        "sparse map of 10^18 lines",
        always(_form_one(b"1000000000000000000\n", 9000)),
        Rejected("too long"),
    ),
    Case(
        "sparse map of one endless line",
        always(_form_one(b"1" * 4096, 9000)),
        Rejected("does not end|sparse map"),
    ),
    Case(
        "sparse name that climbs",
        always(
            pax(
                {
                    b"GNU.sparse.name": b"../../canary/file",
                    b"GNU.sparse.map": b"0,512",
                    b"GNU.sparse.size": b"512",
                }
            )
            + header(b"innocent", size=512)
            + bytes(512)
        ),
        Rejected(r"\.\./\.\./canary/file"),
    ),
    Case(
        "old sparse map below zero",
        always(_old(b"\xff" * 24, _PAIR % 9000)),
        _OVERLAPS,
    ),
    Case("old sparse size below zero", always(_old(b"", b"\xff" * 12)), Rejected("not a size")),
    Case(
        "old sparse map that goes on and on",
        always(
            _old((_PAIR % 0 + _PAIR % 0) * 4, _PAIR % 9000, more=True)
            + ((_PAIR % 0) * 42 + b"\1" + bytes(7)) * 6300
        ),
        Rejected("too long"),
    ),
    Case(
        "old sparse map that is cut off",
        always(_old((_PAIR % 0 + _PAIR % 0) * 4, _PAIR % 9000, more=True)),
        Rejected("ends in the middle"),
    ),
    Case("sparse file of nothing but a hole", always(sparse(b"9000,0", 9000, 0)), has(b"s")),
)
