"""Headers whose numbers overflow, whose sums are wrong, and archives that end or begin oddly."""

from __future__ import annotations

from pathlib import Path

from corten.errors import Unsupported
from hostile.layers.case import AIM, Case, Copied, Rejected, always, has
from support.tars import END, file, header, pack, padded, pax, record

_NO_SIZE = Rejected("not a size")
_ENDS = Rejected("ends in the middle")
_BEFORE = pack(file(b"before", b"x"))[:1024]


def _content(tree: Path) -> None:
    assert (tree / "a").read_bytes() == b"first"


def _inner(tree: Path) -> None:
    assert (tree / "inner.tar").stat().st_size == len(pack(file(b"../../canary/file", b"evil")))


def _broken(records: bytes) -> bytes:
    return pax(records) + header(b"a")


_MILLION = b"".join(record(b"k%d" % n, b"") for n in range(70_000))

CASES = (
    Case("size below zero", always(header(b"a", size=b"\xff" * 12)), _NO_SIZE),
    Case("size of 2^63", always(header(b"a", size=b"\x80\0\0\0\x80" + bytes(7))), _NO_SIZE),
    Case("size of 2^94", always(header(b"a", size=b"\x80\x3f" + bytes(10))), _NO_SIZE),
    Case(
        "size that is no octal number",
        always(header(b"a", size=b"00000000009\0")),
        Rejected("not an octal number"),
    ),
    Case(
        "size with a sign",
        always(header(b"a", size=b"-0000000001\0")),
        Rejected("not an octal number"),
    ),
    Case(
        "size of text",
        always(header(b"a", size=b"0x7fffffff\0\0")),
        Rejected("not an octal number"),
    ),
    Case(
        "pax size below zero",
        always(pax({b"size": b"-1"}) + header(b"a")),
        Rejected("a size is b'-1'"),
    ),
    Case(
        "pax size of 2^64", always(pax({b"size": b"18446744073709551616"}) + header(b"a")), _NO_SIZE
    ),
    Case(
        "pax size of 30 digits",
        always(pax({b"size": b"9" * 30}) + header(b"a")),
        Rejected("a size is"),
    ),
    Case(
        "pax size beyond the end", always(pax({b"size": b"%d" % 2**62}) + header(b"a") + END), _ENDS
    ),
    Case("size beyond the end", always(header(b"a", size=2**33 - 1) + bytes(2048)), _ENDS),
    Case(
        "pax size that hides a member",
        always(pax({b"size": b"512"}) + header(b"a", size=0) + header(b"../../canary/file") + END),
        has(b"a"),
    ),
    Case(
        "pax size that bares the data",
        always(pax({b"size": b"0"}) + header(b"a", size=512) + header(b"../../canary/file") + END),
        Rejected("climbs out"),
        added=Rejected("leads outside"),
    ),
    Case(
        "time of 2^79 seconds",
        always(header(b"a", mtime=b"\x80\0\x7f" + bytes(9))),
        Rejected("out of range"),
    ),
    Case(
        "time below all", always(header(b"a", mtime=b"\xc0" + bytes(11))), Rejected("out of range")
    ),
    Case(
        "pax time of 30 digits",
        always(pax({b"mtime": b"9" * 30}) + header(b"a")),
        Rejected("out of range"),
    ),
    Case(
        "pax time that is none",
        always(pax({b"mtime": b"nan"}) + header(b"a")),
        Rejected("a time is"),
    ),
    Case(
        "pax time in powers",
        always(pax({b"mtime": b"1e9999"}) + header(b"a")),
        Rejected("a time is"),
    ),
    Case(
        "pax time with a million digits",
        always(pax({b"mtime": b"1." + b"7" * 900_000}) + header(b"a")),
        has(b"a"),
    ),
    Case(
        "checksum that is wrong",
        always(_BEFORE + header(b"a", checksum=b"000001\0 ") + END),
        Rejected("checksum"),
    ),
    Case(
        "checksum that is none",
        always(_BEFORE + header(b"a", checksum=b"\xff" * 8) + END),
        Rejected("checksum"),
    ),
    Case(
        "no tar at all",
        always(b"\x7fELF" + bytes(range(256)) * 20),
        Rejected("malformed tar"),
        added=Copied(),
    ),
    Case(
        "extension of 1 GiB",
        always(header(b"x", flag=b"x", size=2**30)),
        Rejected("extension header of 1073741824 bytes"),
        added=Rejected("extension header"),
    ),
    Case(
        "extension of 2^62",
        always(header(b"x", flag=b"x", size=b"\x80\0\0\0\x40" + bytes(7))),
        Rejected("extension header of"),
    ),
    Case(
        "global extension of 8 GiB",
        always(header(b"g", flag=b"g", size=2**33 - 1)),
        Rejected("extension header of"),
    ),
    Case(
        "GNU long name of 8 GiB",
        always(header(b"L", flag=b"L", size=2**33 - 1)),
        Rejected("extension header of"),
    ),
    Case(
        "GNU long link of 8 GiB",
        always(header(b"K", flag=b"K", size=2**33 - 1)),
        Rejected("extension header of"),
    ),
    Case("records that run over", always(_broken(b"9999 path=x\n")), Rejected("length is wrong")),
    Case(
        "record of 1 GiB in 30 bytes",
        always(_broken(b"1073741824 path=x\n")),
        Rejected("length is wrong"),
    ),
    Case(
        "record of 2^64",
        always(_broken(b"18446744073709551616 a=b\n")),
        Rejected("length is wrong|record's length"),
    ),
    Case("record of length zero", always(_broken(b"0 path=x\n")), Rejected("length")),
    Case("record of negative length", always(_broken(b"-9 path=x\n")), Rejected("length")),
    Case("record that goes back", always(_broken(b"4 a=b\n")), Rejected("length")),
    Case("record without a newline", always(_broken(b"8 path=xy")), Rejected("length")),
    Case("record without a keyword", always(_broken(b"5 =x\n" + b"6 a=b\n")), Rejected("keyword")),
    Case("record without an equals sign", always(_broken(b"7 path\n")), Rejected("keyword|length")),
    Case("seventy thousand records", always(_broken(_MILLION)), has(b"a")),
    Case(
        "records that repeat a path",
        always(_broken(record(b"path", b"a") * 20_000 + record(b"path", b"../../canary/file"))),
        Rejected(r"\.\./\.\./canary/file"),
    ),
    Case(
        "global header that renames",
        always(pax({b"path": b"../canary/file"}, flag=b"g") + header(b"a")),
        Rejected("for all members", Unsupported),
    ),
    Case(
        "global header that resizes",
        always(pax({b"size": b"0"}, flag=b"g") + header(b"a")),
        Rejected("for all members", Unsupported),
    ),
    Case(
        "header behind a lone zero block",
        always(header(b"a") + bytes(512) + header(b"b")),
        Rejected("lone zero block"),
    ),
    Case(
        "volume of a multi-volume tar",
        always(header(b"a", flag=b"M")),
        Rejected("a.* type", Unsupported),
    ),
    Case("ends in a header", always(_BEFORE + header(b"a")[:300]), _ENDS),
    Case("ends in a member", always(header(b"a", size=1000) + b"x" * 512), _ENDS),
    Case("ends behind a pax header", always(_BEFORE + pax({b"path": b"x"})), _ENDS),
    Case(
        "ends in a pax header",
        always(_BEFORE + header(b"x", flag=b"x", size=600) + b"600 path="),
        _ENDS,
    ),
    Case(
        "ends behind a long name",
        always(_BEFORE + header(b"L", flag=b"L", size=5) + padded(b"name\0")),
        _ENDS,
    ),
    Case(
        "second archive behind the end",
        lambda aim: pack(file(b"a", b"first"))[:1024] + END + pack(file(aim + b"/file", b"evil")),
        has(b"a", holds=_content),
    ),
    Case(
        "garbage behind the end",
        always(pack(file(b"a", b"first")) + b"\xff" * 3000),
        has(b"a", holds=_content),
    ),
    Case("no end blocks", always(pack(file(b"a", b"first"))[:1024]), has(b"a", holds=_content)),
    Case(
        "tar in a tar",
        always(pack(file(b"inner.tar", pack(file(b"../../canary/file", b"evil"))))),
        has(b"inner.tar", holds=_inner),
    ),
    Case(
        "directory with data that is a member",
        lambda aim: header(b"d/", flag=b"5", size=512) + header(b"x") + END,
        has(b"d", b"x"),
    ),
    Case(
        "old directory with data that is a member",
        always(header(b"d/", flag=b"\0", size=512) + header(b"../../canary/file") + END),
        has(b"d"),
    ),
    Case(
        "repeated entries",
        lambda aim: header(b"a") * 2000 + pack(file(aim + b"/file", b"x")),
        has(b"a", AIM + b"/file"),
    ),
)
