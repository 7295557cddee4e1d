"""Trees written out as directories: what can be shown without root."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from corten.archive.entry import Entry
from corten.errors import Corrupt
from corten.snapshot.expansion import copy_range, expand
from corten.snapshot.extraction import extract
from corten.snapshot.feeding import read_tree
from corten.snapshot.tree import LayerTree
from support.tars import directory, file, header, link, pack, padded, pax

UID, GID = os.getuid(), os.getgid()


def extracted(data: bytes, place: Path) -> Path:
    tar, target = place / "layer.tar", place / "fs"
    tar.write_bytes(data)
    target.mkdir()
    extract(read_tree(tar), tar, target)
    return target


def mine(name: bytes, data: bytes = b"", mode: int = 0o644) -> tuple[Entry, bytes]:
    return file(name, data, mode=mode, uid=UID, gid=GID, mtime_ns=1_700_000_000_000_000_001)


def test_files_links_and_times(tmp_path: Path) -> None:
    root = directory(b"./", 0o700, uid=UID, gid=GID, mtime_ns=5)
    folder = directory(b"d", 0o711, uid=UID, gid=GID, mtime_ns=7_000_000_001)
    tree = extracted(
        pack(
            root,
            folder,
            mine(b"d/f", b"data" * 1000, 0o640),
            link(b"d/h", b"d/f"),
            Entry(b"d/p", "fifo", 0o600, uid=UID, gid=GID),
        ),
        tmp_path,
    )
    status = (tree / "d/f").stat()
    assert (tree / "d/f").read_bytes() == b"data" * 1000
    assert (stat.S_IMODE(status.st_mode), status.st_nlink) == (0o640, 2)
    assert status.st_mtime_ns == 1_700_000_000_000_000_001
    assert (tree / "d").stat().st_mtime_ns == 7_000_000_001
    assert tree.stat().st_mtime_ns == 5
    assert stat.S_ISFIFO((tree / "d/p").stat().st_mode)


def test_symlinks_are_never_followed_while_writing(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    tree = extracted(
        pack(
            Entry(b"s", "symlink", 0o777, UID, GID, linkname=os.fsencode(outside)),
            directory(b"s2", uid=UID, gid=GID),
            Entry(b"s2/inner", "symlink", 0o777, UID, GID, linkname=b"../s"),
            mine(b"s2/inner", b"2"),
        ),
        tmp_path,
    )
    assert list(outside.iterdir()) == []
    assert (tree / "s2/inner").read_bytes() == b"2"


def sparse_layer() -> bytes:
    records = {b"GNU.sparse.map": b"1000,3,50000,4", b"GNU.sparse.size": b"90000"}
    owner = {"uid": b"%07o\0" % UID, "gid": b"%07o\0" % GID}
    return pax(records) + header(b"s", size=7, **owner) + padded(b"onefour")


def expected_sparse() -> bytes:
    data = bytearray(90_000)
    data[1000:1003], data[50_000:50_004] = b"one", b"four"
    return bytes(data)


def test_holes_are_written_as_holes(tmp_path: Path) -> None:
    tree = extracted(sparse_layer(), tmp_path)
    assert (tree / "s").read_bytes() == expected_sparse()
    assert (tree / "s").stat().st_blocks * 512 < 90_000


def test_expansion_appends_sparse_files_and_keeps_the_rest_in_place(tmp_path: Path) -> None:
    data = sparse_layer() + pack(mine(b"plain", b"p"))
    tar, expanded = tmp_path / "tar", tmp_path / "data"
    tar.write_bytes(data)
    tree = read_tree(tar)
    expand(tree, tar, expanded)
    written = expanded.read_bytes()
    assert written[: len(data)] == data
    assert len(written) % 512 == 0
    (node,) = tree.sparse
    assert node.entry.sparse is None
    assert node.offset % 512 == 0
    assert written[node.offset : node.offset + node.entry.size] == expected_sparse()


def test_tar_that_became_shorter_is_corrupt(tmp_path: Path) -> None:
    tar, target = tmp_path / "tar", tmp_path / "fs"
    tar.write_bytes(pack(mine(b"f", b"x" * 5000)))
    tree = read_tree(tar)
    os.truncate(tar, 2000)
    target.mkdir()
    with pytest.raises(Corrupt, match="within f"):
        extract(tree, tar, target)


def test_ranges_are_copied_between_any_offsets(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(bytes(range(256)) * 20)
    target.write_bytes(b"")
    with source.open("rb") as reading, target.open("r+b") as writing:
        copy_range(reading.fileno(), 100, writing.fileno(), 7, 3000)
        with pytest.raises(EOFError):
            copy_range(reading.fileno(), 5000, writing.fileno(), 0, 1000)
    assert target.read_bytes()[7 + 900 : 3007] == source.read_bytes()[1000:3100]


@pytest.mark.parametrize("last", [b"", b"end"])
def test_holes_of_large_ranges_stay_holes(tmp_path: Path, last: bytes) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    size = 64 * 2**20
    with source.open("wb") as out:
        out.write(b"x" * 5000)
        out.seek(30 * 2**20)
        out.write(b"middle" * 500_000)
        out.truncate(size)
        out.seek(size - len(last))
        out.write(last)
    with source.open("rb") as reading, target.open("wb") as writing:
        copy_range(reading.fileno(), 512, writing.fileno(), 1024, size - 512)
        with pytest.raises(EOFError):
            copy_range(reading.fileno(), size - 512, writing.fileno(), size + 512, 3 * 2**20)
    written = target.read_bytes()
    assert written[1024 : size + 512] == source.read_bytes()[512:]
    assert target.stat().st_blocks * 512 < 16 * 2**20


def test_empty_tree_leaves_an_empty_directory(tmp_path: Path) -> None:
    (tmp_path / "tar").write_bytes(b"")
    (tmp_path / "fs").mkdir()
    extract(LayerTree(), tmp_path / "tar", tmp_path / "fs")
    assert list((tmp_path / "fs").iterdir()) == []


def test_hard_link_to_a_symlink_is_the_symlink_and_never_what_it_names(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("host")
    data = pack(
        Entry(b"s", "symlink", 0o777, UID, GID, linkname=os.fsencode(outside)), link(b"h", b"s")
    )
    target = extracted(data, tmp_path)
    assert (target / "h").readlink() == outside
    assert outside.stat().st_nlink == 1
