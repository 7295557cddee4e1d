"""Symlinks and hard links that lead out, in circles, or to what is not there."""

from __future__ import annotations

from pathlib import Path

from corten.archive.entry import Entry
from hostile.layers.case import AIM, Case, Rejected, always, has
from support.tars import directory, file, header, link, pack, symlink

_THROUGH = Rejected("leads through")
_NOT_THERE = Rejected("not there|which is not in")
_LINK = Rejected("is a hard link to")


def _one_file(tree: Path) -> None:
    assert (tree / "a").stat().st_nlink == 1
    assert (tree / "a").read_bytes() == b"x"


def _two_symlinks(tree: Path) -> None:
    assert (tree / "h").is_symlink()
    assert (tree / "h").lstat().st_ino == (tree / "s").lstat().st_ino


CASES = (
    Case(
        "file through an absolute symlink",
        lambda aim: pack(symlink(b"out", aim), file(b"out/file", b"evil")),
        has(b"out", AIM + b"/file"),
        added=_THROUGH,
    ),
    Case(
        "file through a climbing symlink",
        always(pack(symlink(b"out", b"../" * 30 + b"canary"), file(b"out/file", b"evil"))),
        has(b"out", b"canary/file"),
        added=_THROUGH,
    ),
    Case(
        "file through two symlinks",
        lambda aim: pack(
            symlink(b"one", b"/two"), symlink(b"two", aim), file(b"one/file", b"evil")
        ),
        has(b"one", b"two", AIM + b"/file"),
        added=_THROUGH,
    ),
    Case(
        "symlink through a symlink",
        lambda aim: pack(symlink(b"out", aim), symlink(b"out/s", b"/etc/passwd")),
        has(b"out", AIM + b"/s"),
        added=_THROUGH,
    ),
    Case(
        "directory through a symlink",
        lambda aim: pack(symlink(b"out", aim), directory(b"out/directory", 0o777)),
        has(b"out", AIM + b"/directory"),
        added=_THROUGH,
    ),
    Case(
        "file over a symlink",
        lambda aim: pack(symlink(b"f", aim + b"/file"), file(b"f", b"evil")),
        has(b"f"),
    ),
    Case(
        "directory over a symlink",
        lambda aim: pack(symlink(b"d", aim), directory(b"d", 0o777), file(b"d/file", b"evil")),
        has(b"d/file"),
        added=Rejected("in the way"),
    ),
    Case(
        "directory replaced by a symlink, then written through",
        lambda aim: pack(
            directory(b"d"), file(b"d/file", b"x"), symlink(b"d", aim), file(b"d/file", b"evil")
        ),
        has(b"d", AIM + b"/file"),
        added=Rejected("d is a directory"),
    ),
    Case(
        "symlink swapped for a directory and back",
        lambda aim: pack(
            symlink(b"d", aim),
            directory(b"d"),
            file(b"d/one", b"x"),
            symlink(b"d", aim),
            file(b"d/file", b"evil"),
        ),
        has(b"d", AIM + b"/file"),
        added=Rejected("in the way"),
    ),
    Case(
        "symlink to the parent's parent's end",
        always(pack(symlink(b"up", b".."), file(b"up/up/up/x", b"x"))),
        has(b"up", b"x"),
        added=_THROUGH,
    ),
    Case(
        "symlink chain",
        always(
            pack(
                symlink(b"a", b"b/.."),
                symlink(b"b", b"/c/d"),
                directory(b"c/d"),
                file(b"a/x", b"x"),
            )
        ),
        has(b"a", b"b", b"c/d", b"c/x"),
        added=_THROUGH,
    ),
    Case(
        "symlinks in a circle",
        always(pack(symlink(b"a", b"b"), symlink(b"b", b"a"), file(b"a/x"))),
        Rejected("too many symlinks"),
        added=_THROUGH,
    ),
    Case(
        "symlink to itself",
        always(pack(symlink(b"a", b"a"), file(b"a/x"))),
        Rejected("too many symlinks"),
        added=_THROUGH,
    ),
    Case(
        "symlink that grows",
        always(pack(symlink(b"a", b"a/a/a/a"), file(b"a/x"))),
        Rejected("too many symlinks"),
        added=_THROUGH,
    ),
    Case(
        "symlinks that double",
        always(
            pack(
                *(symlink(b"s%d" % n, b"s%d/s%d" % (n + 1, n + 1)) for n in range(60)),
                file(b"s0/x"),
            )
        ),
        Rejected("too many symlinks"),
        added=_THROUGH,
    ),
    Case(
        "symlink to nothing",
        always(header(b"s", flag=b"2")),
        Rejected("s is a symlink to a name of 0 bytes"),
        added=Rejected("s is a symlink to a name of 0 bytes"),
    ),
    Case(
        "symlink that is too long",
        always(pack(symlink(b"s", b"x" * 5000))),
        Rejected("s is a symlink to a name of 5000 bytes"),
    ),
    Case(
        "symlink to control characters",
        always(pack(symlink(b"s", b"\n\x1b]0;x\x07"))),
        has(b"s"),
    ),
    Case(
        "hard link whose name climbs",
        always(pack(file(b"a"), link(b"../b", b"a"))),
        Rejected("climbs out"),
        added=Rejected("leads outside"),
    ),
    Case(
        "hard link that climbs",
        always(pack(link(b"stolen", b"../canary/file"))),
        Rejected("stolen.*climbs out"),
        added=Rejected("stolen.*leads outside"),
    ),
    Case(
        "hard link to the host",
        always(pack(link(b"stolen", b"/etc/passwd"))),
        Rejected("stolen"),
    ),
    Case(
        "hard link to the canary",
        lambda aim: pack(link(b"stolen", aim + b"/file")),
        Rejected("stolen"),
    ),
    Case(
        "hard link to the host, then written over",
        lambda aim: pack(link(b"f", aim + b"/file"), file(b"f", b"evil")),
        has(b"f"),
        added=Rejected("f"),
    ),
    Case(
        "hard link through a symlink to the host",
        lambda aim: pack(symlink(b"s", aim), link(b"a", b"s/file")),
        Rejected("a"),
    ),
    Case(
        "hard link to a symlink, then through it",
        lambda aim: pack(symlink(b"s", aim), link(b"h", b"s"), file(b"h/file", b"evil")),
        has(b"s", b"h", AIM + b"/file"),
        added=_THROUGH,
    ),
    Case(
        "hard link to a symlink, which goes",
        lambda aim: pack(symlink(b"s", aim), link(b"h", b"s"), file(b".wh.s")),
        has(b"s", b"h"),
        added=Rejected("mean deletions"),
    ),
    Case(
        "hard link through a contained symlink",
        always(pack(directory(b"d"), file(b"d/f", b"x"), symlink(b"s", b"/d"), link(b"h", b"s/f"))),
        has(b"d/f", b"s", b"h"),
        added=_THROUGH,
    ),
    Case("hard link to nothing", always(pack(link(b"a", b"b"))), Rejected("a.* b|a")),
    Case(
        "hard link to a later file",
        always(pack(link(b"a", b"b"), file(b"b"))),
        Rejected("a is a hard link|a links"),
        added=Rejected("a links to what is not there"),
    ),
    Case(
        "hard link to itself",
        always(pack(file(b"a", b"x"), link(b"a", b"a"))),
        has(b"a", holds=_one_file),
    ),
    Case(
        "hard link to itself, which is not there",
        always(pack(link(b"a", b"a"))),
        has(),  # what a lower layer has there stays
        added=Rejected("a links to what is not there"),
    ),
    Case(
        "hard link to a symlink to a file of the host",
        lambda aim: pack(symlink(b"s", aim + b"/file"), link(b"h", b"s")),
        has(b"s", b"h", holds=_two_symlinks),
    ),
    Case(
        "hard links in a circle",
        always(pack(link(b"a", b"b"), link(b"b", b"c"), link(b"c", b"a"))),
        Rejected("[abc]"),
    ),
    Case(
        "hard link to a directory",
        always(pack(directory(b"d"), link(b"a", b"d"))),
        Rejected("a is a hard link to a directory"),
        added=Rejected("a links to what is not there"),
    ),
    Case(
        "hard link to the root",
        always(pack(link(b"a", b"/"))),
        Rejected("a is a hard link"),
        added=Rejected("a links to what is not there"),
    ),
    Case(
        "hard link to a whiteout",
        always(pack(file(b".wh.x"), link(b"a", b"x"))),
        Rejected("a is a hard link"),
        added=Rejected("mean deletions"),
    ),
    Case(
        "hard link to a whiteout's mark",
        always(pack(file(b".wh.x"), link(b"a", b".wh.x"))),
        Rejected("a"),
        added=Rejected("mean deletions"),
    ),
    Case(
        "hard link over its own parent",
        always(pack(file(b"d/f", b"x"), link(b"d", b"d/f"))),
        has(b"d"),
        added=Rejected("d"),
    ),
    Case(
        "hard link that says it has data",
        always(
            pack(file(b"a", b"x"))[:1024]
            + header(b"b", flag=b"1", linkname=b"a", size=512)
            + header(b"c")
        ),
        has(b"a", b"b", b"c"),
    ),
    Case(
        "hard link to a device",
        always(pack(Entry(b"null", "char", 0o666, major=1, minor=3), link(b"n", b"null"))),
        has(b"null", b"n"),
    ),
)
