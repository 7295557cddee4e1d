"""The EROFS image, read back by a second reader (erofs-utils: tests/contracts/test_erofs_fsck.py)."""

from __future__ import annotations

import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corten.archive.entry import Entry
from corten.errors import Unsupported
from corten.snapshot.erofs_index import build_index
from corten.snapshot.erofs_reader import IndexReader
from corten.snapshot.tree import LayerTree
from support.erofs_image import Image
from support.tars import directory, file, link, pack, scan, symlink


def tree_of(data: bytes) -> LayerTree:
    tree = LayerTree()
    for entry, offset, _ in scan(data):
        tree.add(entry, offset)
    return tree


def image_of(data: bytes) -> Image:
    index = build_index(tree_of(data), len(data))
    image = Image(index)
    assert len(index) == image.blocks * 512
    assert image.device >= image.blocks
    return image


def test_files_point_into_the_tar() -> None:
    contents = {b"a": b"first", b"b": b"x" * 513, b"d/c": b"third"}
    data = pack(*(file(name, content) for name, content in contents.items()))
    found = image_of(data).walk()
    for name, content in contents.items():
        start = found[name].start
        assert start is not None
        assert data[start : start + found[name].size] == content


def test_metadata_is_kept() -> None:
    data = pack(
        file(b"f", b"1", mode=0o4755, uid=70000, gid=4_000_000_000, mtime_ns=-1_500_000_001),
        Entry(b"c", "char", 0o620, major=136, minor=70_000),
        Entry(b"b", "block", 0o660, major=4095, minor=0xFFFFF),
        Entry(b"p", "fifo", 0o600),
        file(b"x", b"", xattrs={"user.long": b"v" * 2000, "trusted.t": b"", "security.s": b"\0"}),
    )
    found = image_of(data).walk()
    inode = found[b"f"]
    assert (inode.mode, inode.uid, inode.gid) == (stat.S_IFREG | 0o4755, 70000, 4_000_000_000)
    assert inode.mtime_ns == -1_500_000_001
    assert found[b"c"].rdev == (70_000 & 0xFF) | 136 << 8 | (70_000 & ~0xFF) << 12
    assert found[b"b"].rdev == 0xFF | 4095 << 8 | 0xFFF00 << 12
    assert stat.S_ISFIFO(found[b"p"].mode)
    assert found[b"x"].xattrs == {
        "user.long": b"v" * 2000,
        "trusted.t": b"",
        "security.s": b"\0",
    }


@pytest.mark.parametrize(("last", "size"), [(32, 511), (33, 512), (34, 512 + 12 + 34)])
def test_names_fill_a_block_to_its_last_byte_and_no_further(last: int, size: int) -> None:
    # With 12 bytes for each: 27 for "." and "..", 440 for twenty names, and one more name.
    names = {b"d/%010d" % number for number in range(20)} | {b"d/" + b"z" * last}
    found = image_of(pack(*(file(name, b"1") for name in names))).walk()
    assert names < found.keys()
    assert found[b"d"].size == size


def test_link_counts_are_those_of_the_tree() -> None:
    data = pack(
        file(b"a", b"1"),
        link(b"d/b", b"a"),
        link(b"d/e/c", b"a"),
        directory(b"d/f"),
        file(b"replaced", b"2"),
        link(b"left", b"replaced"),
        file(b"replaced", b"3"),
    )
    found = image_of(data).walk()
    assert found[b"a"].nid == found[b"d/b"].nid == found[b"d/e/c"].nid
    assert (found[b"a"].nlink, found[b"left"].nlink, found[b"replaced"].nlink) == (3, 1, 1)
    assert (found[b""].nlink, found[b"d"].nlink, found[b"d/e"].nlink) == (3, 4, 2)


@pytest.mark.parametrize("length", [1, 63, 100, 447, 448, 449, 511, 512, 513, 4095])
def test_symlinks_of_any_length_are_kept(length: int) -> None:
    target = b"t" * length
    data = pack(*(symlink(b"%d" % i, target) for i in range(9)))
    found = image_of(data).walk()
    assert all(found[b"%d" % i].content == target for i in range(9))


def test_directories_are_sorted_over_all_blocks_with_the_dots_in_place() -> None:
    names = [b"!", b"-x", b".a", b"..b", *(b"n" * (1 + i % 255) + b"%d" % i for i in range(200))]
    names = [name[:255] for name in names]
    image = image_of(pack(*(file(name) for name in names)))
    root = image.inode(image.root)
    stored = [name for name, _, _ in image.names(root)]
    assert stored == sorted({*names, b".", b".."})
    assert stored[0] == b"!"
    by_name = {name: nid for name, nid, _ in image.names(root)}
    assert by_name[b"."] == by_name[b".."] == image.root


def test_whiteouts_and_opaque_directories_are_as_overlayfs_wants_them() -> None:
    found = image_of(pack(file(b"d/.wh.x"), file(b"o/.wh..wh..opq"), file(b"o/f"))).walk()
    assert stat.S_ISCHR(found[b"d/x"].mode)
    assert found[b"d/x"].rdev == 0
    assert found[b"o"].xattrs == {"trusted.overlay.opaque": b"y"}
    assert found[b"d"].xattrs == {}


@pytest.mark.parametrize("count", [0, 1, 20, 21, 700])
def test_a_name_is_found_among_any_number(count: int) -> None:
    names = [b"%d" % (number * 7919 % 10007) * (1 + number % 20) for number in range(count)]
    data = pack(directory(b"d"), *(file(b"d/" + name) for name in names), directory(b"d/zz"))
    reader = IndexReader(build_index(tree_of(data), len(data)))
    inside, kind = reader.entry(reader.root, b"d") or (0, 0)
    assert kind == 2
    wanted = {name: (number, kind) for name, number, kind in reader.names(inside)}
    assert {name: reader.entry(inside, name) for name in wanted} == wanted
    assert set(wanted) == {*names, b"zz"}
    for name in (b"", b"!", b"5.", b"zz\0", b"zzz", b"\xff"):
        assert reader.entry(inside, name) is None
    assert reader.entry(inside, b"..") == (reader.root, 2)


def test_empty_layer_has_a_root_only() -> None:
    image = image_of(bytes(1024))
    assert set(image.walk()) == {b""}
    assert image.inode(image.root).mode == stat.S_IFDIR | 0o755


def test_the_same_tar_gives_the_same_index() -> None:
    data = pack(*(file(b"d%d/f%d" % (i % 5, i), b"x" * i) for i in range(50)))
    assert build_index(tree_of(data), len(data)) == build_index(tree_of(data), len(data))


def test_data_beyond_what_a_block_address_reaches_is_unsupported() -> None:
    for kind_of_inode in ({}, {"user.x": b"1"}):
        tree = LayerTree()
        tree.add(Entry(b"far", size=1, xattrs=kind_of_inode), 2**41)
        with pytest.raises(Unsupported, match="far"):
            build_index(tree, 2**41 + 512)
    with pytest.raises(Unsupported, match="larger"):
        build_index(LayerTree(), 2**41)


_name = st.binary(min_size=1, max_size=40).filter(
    lambda name: name not in (b".", b"..") and not set(name) & {0, 47} and name[:4] != b".wh."
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.lists(_name, min_size=1, max_size=4).map(tuple), st.binary(max_size=600)))
def test_every_tree_is_read_back(files: dict[tuple[bytes, ...], bytes]) -> None:
    paths = {parts: data for parts, data in files.items() if not _has_file_above(parts, files)}
    data = pack(*(file(b"/".join(parts), content) for parts, content in paths.items()))
    found = image_of(data).walk()
    regular = {path: inode for path, inode in found.items() if stat.S_ISREG(inode.mode)}
    assert regular.keys() == {b"/".join(parts) for parts in paths}
    for parts, content in paths.items():
        inode = regular[b"/".join(parts)]
        start = inode.start or 0
        assert inode.size == len(content)
        assert data[start : start + inode.size] == content


def _has_file_above(parts: tuple[bytes, ...], files: dict[tuple[bytes, ...], bytes]) -> bool:
    return any(parts[:depth] in files for depth in range(1, len(parts)))
