"""Whiteouts and opaque marks in odd places, and what overlayfs keeps for itself."""

from __future__ import annotations

import os
from pathlib import Path

from corten.archive.entry import Entry
from hostile.layers.case import AIM, Case, Contained, Rejected, always, has
from support.tars import directory, file, header, link, pack, pax, symlink

_MARKS = Rejected("mean deletions")
"""ADD takes no whiteouts: an archive is no layer."""


def _private(name: str, value: bytes, **more: object) -> Case:
    entry, data = file(b"d/f", b"own", xattrs={name: value}, **more)

    def holds(tree: Path) -> None:
        assert (tree / "d/f").read_bytes() == b"own"
        for path in ("d", "d/f"):
            assert not [n for n in os.listxattr(tree / path) if "overlay" in n], path

    made = pack(directory(b"d", xattrs={name: value}), (entry, data))
    return Case(f"attribute {name}", always(made), Contained((b"d/f",), holds))


CASES = (
    Case(
        "whiteout of the directory itself",
        always(pack(file(b"d/.wh.."))),
        Rejected("d/.wh.. names nothing"),
        added=_MARKS,
    ),
    Case(
        "whiteout of the parent",
        always(pack(file(b"d/.wh..."))),
        Rejected("d/.wh... names nothing"),
        added=_MARKS,
    ),
    Case(
        "whiteout of nothing",
        always(pack(file(b"d/.wh."))),
        Rejected("d/.wh. names nothing"),
        added=_MARKS,
    ),
    Case("whiteout of a name with dots", always(pack(file(b".wh...."))), has(), added=_MARKS),
    Case(
        "whiteout whose name has slashes",
        lambda aim: pack(file(b".wh." + aim + b"/file")),
        Rejected("under a whiteout"),
        added=_MARKS,
    ),
    Case(
        "whiteout that climbs",
        always(pack(file(b".wh.x/../../../canary/file"))),
        Rejected("climbs out"),
        added=Rejected("leads outside"),
    ),
    Case(
        "whiteout above the root",
        always(pack(file(b"../.wh.canary"))),
        Rejected("climbs out"),
        added=Rejected("leads outside"),
    ),
    Case(
        "whiteout of dots in a pax path",
        always(pax({b"path": b"d/.wh.../../canary"}) + header(b"innocent")),
        has(b"d/canary"),
        added=Rejected("leads outside"),
    ),
    Case(
        "whiteout as a parent",
        always(pack(file(b".wh.d/x"))),
        Rejected("under a whiteout"),
        added=_MARKS,
    ),
    Case(
        "opaque mark as a parent",
        always(pack(file(b".wh..wh..opq/x"))),
        has(),
        added=_MARKS,
    ),
    Case("whiteout that is a directory", always(pack(directory(b".wh.x"))), has(), added=_MARKS),
    Case(
        "whiteout that is a symlink",
        lambda aim: pack(symlink(b".wh.x", aim), file(b"x/file", b"new")),
        has(b"x/file"),
        added=_MARKS,
    ),
    Case(
        "whiteout that is a device",
        always(pack(Entry(b".wh.x", "char", major=1, minor=3))),
        has(),
        added=_MARKS,
    ),
    Case(
        "whiteout that is a hard link",
        always(pack(file(b"a", b"x"), link(b".wh.b", b"a"))),
        has(b"a"),
        added=_MARKS,
    ),
    Case(
        "whiteout with data",
        always(pack(file(b".wh.x", b"data" * 500), file(b"a", b"x"))),
        has(b"a"),
        added=_MARKS,
    ),
    Case(
        "whiteout of 260 bytes",
        always(pack(file(b".wh." + b"x" * 256))),
        Rejected("longer than 255"),
        added=_MARKS,
    ),
    Case("whiteout of a whiteout", always(pack(file(b".wh..wh.x"))), has(), added=_MARKS),
    Case(
        "whiteout through a symlink",
        lambda aim: pack(symlink(b"s", aim), file(b"s/.wh.file")),
        has(b"s", AIM),
        added=Rejected("leads through|mean deletions"),
    ),
    Case(
        "whiteout of what the layer has",
        always(pack(file(b"a", b"x"), file(b".wh.a"), file(b"d/f", b"x"), file(b".wh.d"))),
        has(b"a", b"d/f"),
        added=_MARKS,
    ),
    Case(
        "whiteout, then a directory",
        always(pack(file(b".wh.d"), file(b"d/f", b"x"))),
        has(b"d/f"),
        added=_MARKS,
    ),
    Case(
        "opaque root",
        always(pack(file(b".wh..wh..opq"), file(b"f", b"x"))),
        has(b"f"),
        added=_MARKS,
    ),
    Case(
        "opaque mark under a file",
        always(pack(file(b"f"), file(b"f/.wh..wh..opq"))),
        Rejected("f is not a directory"),
        added=Rejected("leads through|mean deletions"),
    ),
    Case(
        "opaque mark through a symlink",
        lambda aim: pack(symlink(b"s", aim), file(b"s/.wh..wh..opq")),
        has(b"s", AIM),
        added=Rejected("leads through|mean deletions"),
    ),
    Case(
        "opaque mark that is a directory",
        always(pack(directory(b"d/.wh..wh..opq"), file(b"d/f", b"x"))),
        has(b"d/f"),
        added=_MARKS,
    ),
    Case(
        "what aufs kept",
        always(
            pack(directory(b".wh..wh.plnk"), file(b".wh..wh.plnk/1.2", b"x"), file(b".wh..wh.aufs"))
        ),
        has(),
        added=_MARKS,
    ),
    Case(
        "whiteout in other letters",
        always(pack(file(b".WH.x", b"x"), file(b"wh.y", b"x"))),
        has(b".WH.x", b"wh.y"),
    ),
    Case(
        "device 0/0",
        always(pack(Entry(b"c", "char"), file(b"f", b"x"))),
        has(b"f"),
        added=has(b"f"),
    ),
    Case(
        "device 0/0 as a parent",
        always(pack(Entry(b"c", "char"), file(b"c/x", b"x"))),
        has(b"c/x"),
        added=Rejected("leads through|device 0/0"),
    ),
    Case(
        "hard link to a device 0/0",
        always(pack(Entry(b"c", "char"), link(b"h", b"c"))),
        Rejected("h is a hard link"),
    ),
    _private("trusted.overlay.opaque", b"y"),
    _private("trusted.overlay.redirect", b"/../../../../canary"),
    _private("trusted.overlay.metacopy", b""),
    _private("trusted.overlay.whiteout", b""),
    _private("trusted.overlay.overlay.opaque", b"y"),
    _private("trusted.overlay.origin", b"\0\xfb\x1d\0" + bytes(25)),
    _private("user.overlay.redirect", b"/etc"),
    _private("user.overlay.opaque", b"x"),
)
