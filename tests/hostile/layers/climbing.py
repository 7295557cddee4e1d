"""Names that climb, point to the host, or are no names."""

from __future__ import annotations

import os
from pathlib import Path

from corten.archive.entry import Entry
from hostile.layers.case import AIM, Case, Contained, Copied, Rejected, always, has
from support.tars import directory, file, header, link, pack, padded, pax, symlink

_CLIMBS = Rejected("climbs out")
_OUTSIDE = Rejected("leads outside")
_LONG = b"longer/" * 30 + b"name"


def _gnu_long(name: bytes, flag: bytes = b"L") -> bytes:
    return header(b"././@LongLink", flag=flag, size=len(name) + 1) + padded(name + b"\0")


def _deep(count: int) -> Case:
    def holds(tree: Path) -> None:
        depth = 0
        fd = os.open(tree, os.O_RDONLY)
        try:
            while os.listdir(fd) == ["d"]:  # noqa: PTH208 - a path would be too long
                inner = os.open("d", os.O_RDONLY, dir_fd=fd)
                os.close(fd)
                fd, depth = inner, depth + 1
            assert os.listdir(fd) == ["x"]  # noqa: PTH208
        finally:
            os.close(fd)
        assert depth == count

    data = pack(file(b"d/" * count + b"x", b"x"))
    return Case(f"{count} directories deep", always(data), Contained(None, holds))


CASES = (
    Case("name that climbs", always(pack(file(b"../passwd", b"evil"))), Rejected(r"\.\./passwd")),
    Case(
        "name that climbs later",
        always(pack(file(b"a/../../canary/file", b"evil"))),
        _CLIMBS,
        added=_OUTSIDE,
    ),
    Case(
        "absolute name that climbs",
        always(pack(file(b"/../../passwd", b"evil"))),
        _CLIMBS,
        added=_OUTSIDE,
    ),
    Case("directory that climbs", always(pack(directory(b"../new"))), _CLIMBS, added=_OUTSIDE),
    Case(
        "symlink whose name climbs",
        always(pack(symlink(b"../s", b"/etc"))),
        _CLIMBS,
        added=_OUTSIDE,
    ),
    Case(
        "device whose name climbs",
        always(pack(Entry(b"x/../../null", "char", major=1, minor=3))),
        _CLIMBS,
        added=_OUTSIDE,
    ),
    Case(
        "fifo whose name climbs",
        always(pack(Entry(b"../../pipe", "fifo"))),
        _CLIMBS,
        added=_OUTSIDE,
    ),
    Case("nothing but dots", always(pack(file(b".."))), _CLIMBS, added=_OUTSIDE),
    Case(
        "sibling whose name begins like the root's",
        always(pack(file(b"../root-evil/x", b"evil"))),
        _CLIMBS,
        added=_OUTSIDE,
    ),
    Case(
        "sibling through an absolute name",
        lambda aim: pack(file(b"/.." + aim + b"/file", b"evil")),
        _CLIMBS,
        added=_OUTSIDE,
    ),
    Case(
        "pax path that climbs",
        always(pax({b"path": b"../../canary/file"}) + header(b"innocent")),
        Rejected(r"\.\./\.\./canary/file"),
    ),
    Case(
        "GNU long name that climbs",
        always(_gnu_long(b"../" * 60 + b"canary/file") + header(b"innocent")),
        _CLIMBS,
        added=_OUTSIDE,
    ),
    Case(
        "ustar prefix that climbs",
        always(header(b"canary/file", prefix=b"../..")),
        Rejected(r"\.\./\.\./canary/file"),
    ),
    Case(
        "absolute name",
        lambda aim: pack(file(aim + b"/file", b"evil")),
        has(AIM + b"/file"),
    ),
    Case(
        "slashes without end before a name",
        lambda aim: pack(file(b"/" * 2000 + aim + b"//./file", b"evil")),
        has(AIM + b"/file"),
    ),
    Case(
        "backslashes",
        always(pack(file(b"..\\..\\canary\\file", b"x"))),
        has(b"..\\..\\canary\\file"),
    ),
    Case(
        "dots that are a name",
        always(pack(file(b".../..../x", b"x"))),
        has(b".../..../x"),
    ),
    Case(
        "dots in overlong UTF-8",
        always(pack(file(b"\xc0\xae\xc0\xae/canary", b"x"))),
        has(b"\xc0\xae\xc0\xae/canary"),
    ),
    Case(
        "name full of control characters",
        always(pack(file(b"\x1b[2J\r\n\x7f", b"x"))),
        has(b"\x1b[2J\r\n\x7f"),
    ),
    Case(
        "newline and a path behind it",
        always(pack(file(b"a\n/etc/passwd", b"x"))),
        has(b"a\n/etc/passwd"),
    ),
    Case(
        "up and down inside",
        always(pack(file(b"a/b", b"x"), directory(b"a/../c"))),
        has(b"a/b", b"c"),
        added=_OUTSIDE,
    ),
    Case(
        "names of what the store keeps itself",
        always(
            pack(
                file(b"layer.json", b"{}"),
                file(b"fs/x", b"x"),
                file(b"index", b"x"),
                directory(b"upper"),
                directory(b"work"),
                file(b"snapshot.json", b"{}"),
            )
        ),
        has(b"layer.json", b"fs/x", b"index", b"upper", b"work", b"snapshot.json"),
    ),
    Case(
        "name with a NUL",
        always(pax({b"path": b"a\0b"}) + header(b"a")),
        Rejected("NUL"),
    ),
    Case(
        "link target with a NUL",
        always(pax({b"linkpath": b"a\0b"}) + header(b"a", flag=b"2")),
        Rejected("NUL"),
    ),
    Case("empty name", always(header(b"")), Rejected("root"), added=Copied()),
    Case("root that is a file", always(header(b".")), Rejected("not a directory"), added=has()),
    Case(
        "root that is a symlink",
        always(pack(symlink(b".", b"/etc"))),
        Rejected("not a directory"),
        added=has(),
    ),
    Case(
        "root that is a fifo",
        always(pack(Entry(b"./", "fifo"))),
        Rejected("not a directory"),
        added=has(),
    ),
    Case(
        "root that is a hard link",
        lambda aim: pack(link(b"/", aim + b"/file")),
        Rejected("not a directory"),
        added=has(),
    ),
    Case("name of 256 bytes", always(pack(file(b"n" * 256))), Rejected("longer than 255")),
    Case(
        "parent of 256 bytes", always(pack(file(b"n" * 256 + b"/x"))), Rejected("longer than 255")
    ),
    Case(
        "path of 5000 bytes", always(pack(file(b"d/" * 2500 + b"x"))), Rejected("longer than 4096")
    ),
    Case(
        "GNU long name of 64 KiB",
        always(_gnu_long(b"x" * 65536) + header(b"innocent")),
        Rejected("longer than"),
    ),
    Case("name of 255 bytes", always(pack(file(b"n" * 255, b"x"))), has(b"n" * 255)),
    Case("long path that stays inside", always(pack(file(_LONG, b"x"))), has(_LONG)),
    _deep(2000),
    Case(
        "file as a parent", always(pack(file(b"f"), file(b"f/x"))), Rejected("f.* not a directory")
    ),
    Case(
        "device as a parent",
        always(pack(Entry(b"c", "char", major=1, minor=1), file(b"c/x"))),
        Rejected("c.* not a directory"),
    ),
    Case(
        "fifo as a parent",
        always(pack(Entry(b"p", "fifo"), file(b"p/a/b"))),
        Rejected("p.* not a directory"),
    ),
)
