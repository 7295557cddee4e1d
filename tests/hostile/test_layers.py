"""Hostile layers and what becomes of each: refused with the member named, or contained.

Around the store lies a canary; whatever a layer tries, it must not change.
"""

from __future__ import annotations

import gzip
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from corten.archive.compression import inflater
from corten.archive.entry import Entry
from corten.errors import Corrupt, CortenError, Invalid, Unsupported
from corten.snapshot import tree as limits
from corten.snapshot.mounting import mounted
from corten.snapshot.probing import choose
from corten.snapshot.removal import remove_tree
from support.tars import (
    directory,
    file,
    header,
    link,
    look,
    pack,
    pax,
    record,
    symlink,
    write_tar,
)

pytestmark = pytest.mark.root

CANARY = {"passwd": b"root:x:0:0", "directory/file": b"untouched"}


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A directory that must look the same afterwards; the root of corten lies inside it."""
    for name, data in CANARY.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    (tmp_path / "root").mkdir()
    before = look(tmp_path, skip=[b"root", b"layer.tar"])
    try:
        yield tmp_path
    finally:
        remove_tree(tmp_path / "root")  # pytest's own way gives up on deep trees
    assert look(tmp_path, skip=[b"root", b"layer.tar"]) == before


REFUSED: dict[str, tuple[bytes, type[CortenError], str]] = {
    "name that climbs": (pack(file(b"../passwd", b"evil")), Invalid, r"\.\./passwd"),
    "name that climbs later": (
        pack(file(b"a/../../directory/file", b"evil")),
        Invalid,
        "climbs out",
    ),
    "absolute name that climbs": (pack(file(b"/../../passwd", b"evil")), Invalid, "climbs out"),
    "directory that climbs": (pack(directory(b"../new")), Invalid, "climbs out"),
    "hard link that climbs": (pack(link(b"stolen", b"../passwd")), Invalid, "climbs out"),
    "hard link to the host": (pack(link(b"stolen", b"/etc/passwd")), Invalid, "hard link"),
    "hard link to nothing": (pack(link(b"a", b"b")), Invalid, "a is a hard link to b"),
    "hard link to a later file": (pack(link(b"a", b"b"), file(b"b")), Invalid, "hard link"),
    "hard link to a directory": (
        pack(directory(b"d"), link(b"a", b"d")),
        Invalid,
        "hard link to a directory",
    ),
    "hard link to a whiteout": (
        pack(file(b".wh.x"), link(b"a", b"x")),
        Invalid,
        "a is a hard link",
    ),
    "hard link through a symlink to the host": (
        pack(symlink(b"s", b"/etc"), link(b"a", b"s/passwd")),
        Invalid,
        "a is a hard link",
    ),
    "symlinks in a circle": (
        pack(symlink(b"a", b"b"), symlink(b"b", b"a"), file(b"a/x")),
        Invalid,
        "too many symlinks",
    ),
    "symlink that grows": (
        pack(symlink(b"a", b"a/a/a/a"), file(b"a/x")),
        Invalid,
        "too many symlinks",
    ),
    "symlink to nothing": (
        header(b"s", flag=b"2"),
        Invalid,
        "s is a symlink to a name of 0 bytes",
    ),
    "symlink that is too long": (pack(symlink(b"s", b"x" * 5000)), Invalid, "symlink"),
    "file as a parent": (pack(file(b"f"), file(b"f/x")), Invalid, "f is not a directory"),
    "device as a parent": (
        pack(Entry(b"c", "char", major=1, minor=1), file(b"c/x")),
        Invalid,
        "c is not a directory",
    ),
    "root that is a file": (header(b"."), Invalid, "not a directory"),
    "root that is a symlink": (pack(symlink(b".", b"/etc")), Invalid, "not a directory"),
    "name of 256 bytes": (pack(file(b"n" * 256)), Invalid, "longer than 255"),
    "parent of 256 bytes": (pack(file(b"n" * 256 + b"/x")), Invalid, "longer than 255"),
    "path of 5000 bytes": (pack(file(b"d/" * 2500 + b"x")), Invalid, "longer than 4096"),
    "name with a NUL": (pax({b"path": b"a\0b"}) + header(b"a"), Invalid, "NUL"),
    "empty name": (header(b""), Invalid, "not a directory"),
    "whiteout of the directory itself": (pack(file(b"d/.wh..")), Invalid, "names nothing"),
    "whiteout of the parent": (pack(file(b"d/.wh...")), Invalid, "names nothing"),
    "whiteout of nothing": (pack(file(b"d/.wh.")), Invalid, "names nothing"),
    "whiteout as a parent": (pack(file(b".wh.d/x")), Invalid, "under a whiteout"),
    "device number beyond all": (
        header(b"c", flag=b"3", devices=b"7777777\0" + b"0000001\0"),
        Invalid,
        "not a device number",
    ),
    "owner beyond all": (
        pax({b"uid": b"4294967295"}) + header(b"a"),
        Invalid,
        "not an id",
    ),
    "negative size": (header(b"a", size=b"\xff" * 12), Invalid, "not a size"),
    "size beyond the end": (
        header(b"a", size=10**9) + bytes(2048),
        Invalid,
        "ends in the middle",
    ),
    "size beyond all": (
        header(b"a", size=b"\x80" + b"\x3f" + bytes(10)),
        Invalid,
        "not a size",
    ),
    "extension header of 8 GiB": (
        header(b"x", flag=b"x", size=2**33 - 1),
        Invalid,
        "larger than the limit",
    ),
    "attribute of 64 KiB": (
        pack(file(b"a", xattrs={"user.big": b"x" * 65536})),
        Invalid,
        "too large",
    ),
    "sparse file of 2 EiB": (
        pax({b"GNU.sparse.map": b"0,512", b"GNU.sparse.size": b"%d" % 2**61})
        + header(b"s", size=512)
        + bytes(512),
        Unsupported,
        "too large",
    ),
    "sparse map that overlaps": (
        pax({b"GNU.sparse.map": b"0,512,10,512", b"GNU.sparse.size": b"9000"})
        + header(b"s", size=1024)
        + bytes(1024),
        Invalid,
        "overlaps",
    ),
    "global header that renames": (
        pax({b"path": b"../passwd"}, flag=b"g") + header(b"a"),
        Unsupported,
        "for all members",
    ),
    "records that run over": (pax(b"9999 path=x\n") + header(b"a"), Invalid, "length is wrong"),
    "record of length zero": (pax(b"0 path=x\n") + header(b"a"), Invalid, "length"),
    "header behind a lone zero block": (
        header(b"a") + bytes(512) + header(b"b"),
        Invalid,
        "lone zero block",
    ),
    "volume of a multi-volume tar": (header(b"a", flag=b"M"), Unsupported, "its type"),
    "not a tar at all": (b"\x7fELF" + bytes(range(256)) * 20, Invalid, "malformed tar"),
}


@pytest.mark.parametrize("driver", ["erofs", "overlay"])
@pytest.mark.parametrize("attack", REFUSED)
def test_layer_is_refused_and_leaves_nothing(attack: str, driver: str, outside: Path) -> None:
    data, family, says = REFUSED[attack]
    snapshotter = choose(outside / "root", driver)
    diff_id, tar = write_tar(outside / "layer.tar", pack(file(b"innocent"))[:512] + data)
    with pytest.raises(family, match=says) as caught:
        snapshotter.apply(diff_id, tar)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert not snapshotter.has(diff_id)
    layers = outside / "root" / "layers" / driver
    assert not layers.exists() or [p.name for p in layers.iterdir()] == []


CONTAINED: dict[str, tuple[bytes, set[bytes]]] = {
    "absolute name": (pack(file(b"/etc/shadow", b"x")), {b"etc", b"etc/shadow"}),
    "file through an absolute symlink": (
        pack(symlink(b"out", b"/etc"), file(b"out/evil", b"x")),
        {b"out", b"etc", b"etc/evil"},
    ),
    "file through a climbing symlink": (
        pack(symlink(b"out", b"../../../../directory"), file(b"out/file", b"x")),
        {b"out", b"directory", b"directory/file"},
    ),
    "file over a symlink": (
        pack(symlink(b"f", b"../../../passwd"), file(b"f", b"x")),
        {b"f"},
    ),
    "directory over a symlink": (
        pack(symlink(b"d", b"../../../directory"), directory(b"d"), file(b"d/file", b"x")),
        {b"d", b"d/file"},
    ),
    "symlink chain": (
        pack(
            symlink(b"a", b"b/.."),
            symlink(b"b", b"/c/d"),
            directory(b"c/d"),
            file(b"a/x", b"x"),
        ),
        {b"a", b"b", b"c", b"c/d", b"c/x"},
    ),
    "whiteout through a symlink": (
        pack(symlink(b"s", b"/"), file(b"s/.wh.x")),
        {b"s"},
    ),
    "whiteout of a name with dots": (pack(file(b".wh....")), set()),
    "hard link through a contained symlink": (
        pack(directory(b"d"), file(b"d/f", b"x"), symlink(b"s", b"/d"), link(b"h", b"s/f")),
        {b"d", b"d/f", b"s", b"h"},
    ),
    "hard link to itself": (pack(file(b"a", b"x"), link(b"a", b"a")), {b"a"}),
    "device 0/0": (pack(Entry(b"c", "char"), file(b"f")), {b"f"}),
    "name full of control characters": (pack(file(b"\x1b[2J\r\n\x7f", b"x")), {b"\x1b[2J\r\n\x7f"}),
    "two thousand directories deep": (
        pack(file(b"d/" * 2000 + b"x", b"x")),
        {b"d/" * depth + b"d" for depth in range(2000)} | {b"d/" * 2000 + b"x"},
    ),
    "set-user-id device": (
        pack(Entry(b"mem", "char", 0o6777, major=1, minor=1)),
        {b"mem"},
    ),
    "opaque root": (pack(file(b".wh..wh..opq"), file(b"f")), {b"f"}),
}


@pytest.mark.parametrize("driver", ["erofs", "overlay"])
@pytest.mark.parametrize("attack", CONTAINED)
def test_layer_is_contained(attack: str, driver: str, outside: Path) -> None:
    data, expected = CONTAINED[attack]
    snapshotter = choose(outside / "root", driver)
    diff_id, tar = write_tar(outside / "layer.tar", data)
    snapshotter.apply(diff_id, tar)
    with mounted(snapshotter.prepare("k", [diff_id], readonly=True)) as tree:
        if max(map(len, expected), default=0) > 4000:
            assert _depth(tree) == len(expected)
        else:
            assert set(look(tree)) == expected
    snapshotter.remove("k")
    assert snapshotter.prune([]) == 1
    assert [p.name for p in (outside / "root/layers" / driver).iterdir()] == [".lock"]


def _depth(tree: Path) -> int:
    """How many files lie in one another; a path to the last of them would be too long."""
    count = 0
    fd = os.open(tree, os.O_RDONLY)
    try:
        while names := os.listdir(fd):  # noqa: PTH208
            (name,) = names
            count += 1
            if name != "d":
                return count
            inner = os.open(name, os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = inner
    finally:
        os.close(fd)
    return count


def test_layers_with_too_many_members_are_refused(
    outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_MEMBERS", 10)  # a limit, not a behaviour: 2,000,000 is slow
    snapshotter = choose(outside / "root", "erofs")
    diff_id, tar = write_tar(outside / "layer.tar", pack(*(file(b"%d" % i) for i in range(11))))
    with pytest.raises(Unsupported, match="more than 10 members"):
        snapshotter.apply(diff_id, tar)


def test_attributes_beyond_what_an_inode_holds_are_refused(outside: Path) -> None:
    many = b"".join(record(b"SCHILY.xattr.user.%d" % i, b"x" * 60_000) for i in range(6))
    data = pax(many) + header(b"a")
    snapshotter = choose(outside / "root", "erofs")
    diff_id, tar = write_tar(outside / "layer.tar", data)
    with pytest.raises(Invalid, match="a: its attributes are too large"):
        snapshotter.apply(diff_id, tar)


@pytest.mark.parametrize(
    "damage",
    [
        lambda index: index[:1024] + bytes(4) + index[1028:],
        lambda index: index[:1500],
        lambda index: index[:2048] + os.urandom(64) + index[2112:],
        lambda index: b"",
    ],
)
def test_index_that_was_tampered_with_is_never_mounted(
    damage: Callable[[bytes], bytes], outside: Path
) -> None:
    snapshotter = choose(outside / "root", "erofs")
    diff_id, tar = write_tar(outside / "layer.tar", pack(file(b"a", b"x")))
    snapshotter.apply(diff_id, tar)
    index = outside / "root" / "layers" / "erofs" / diff_id.encoded / "index"
    index.write_bytes(damage(index.read_bytes()))
    with pytest.raises(Corrupt, match="index"):
        snapshotter.prepare("k", [diff_id])


def test_tar_that_was_cut_off_is_never_mounted(outside: Path) -> None:
    snapshotter = choose(outside / "root", "erofs")
    diff_id, tar = write_tar(outside / "layer.tar", pack(file(b"a", b"x" * 5000)))
    snapshotter.apply(diff_id, tar)
    os.truncate(outside / "root" / "layers" / "erofs" / diff_id.encoded / "data", 1024)
    with pytest.raises(Corrupt, match="1024 bytes"):
        snapshotter.prepare("k", [diff_id])


def test_bomb_of_headers_is_stopped_while_it_inflates() -> None:
    tree = limits.LayerTree()
    with pytest.raises(Unsupported, match="metadata"):
        for number in range(10**6):
            tree.add(Entry(b"%d" % number, xattrs={"user.x": struct.pack("<Q", number) * 8000}), 0)
    assert tree.members < 10_000


def test_truncated_layer_data_is_corrupt() -> None:
    stream = inflater("gzip", bytearray().extend)
    stream.feed(gzip.compress(os.urandom(5000))[:-9])
    with pytest.raises(Corrupt):
        stream.finish()
