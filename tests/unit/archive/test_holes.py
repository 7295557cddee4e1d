"""Which stretches of sparse files are stored."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corten.archive.entry import Entry
from corten.archive.holes import STRETCHES, WORTH, find_stretches, is_sparse
from corten.archive.tar_writer import TarWriter
from corten.errors import Conflict
from support.tars import scan

MIB = 1024 * 1024


def stretches(
    path: Path, size: int, spots: Mapping[int, bytes]
) -> tuple[tuple[int, int], ...] | None:
    with path.open("wb") as file:
        file.truncate(size)
        for at, data in spots.items():
            file.seek(at)
            file.write(data)
    with path.open("rb") as file:
        assert os.fstat(file.fileno()).st_size == size
        return find_stretches(file.fileno(), size)


def test_file_counts_as_sparse_by_what_it_spares(tmp_path: Path) -> None:
    path = tmp_path / "f"
    for size, sparse in ((WORTH - 1, False), (WORTH, True), (1 << 40, True)):
        with path.open("wb") as file:
            file.truncate(size)
        assert is_sparse(path.stat()) is sparse


def test_blocks_with_data_are_stored(tmp_path: Path) -> None:
    found = stretches(
        tmp_path / "f", 100 * MIB + 7, {5: b"a", 50 * MIB - 1: b"bb", 100 * MIB: b"end"}
    )
    assert found == ((0, 4096), (50 * MIB - 4096, 8192), (100 * MIB, 7))


def test_nothing_but_a_hole_has_no_stretches(tmp_path: Path) -> None:
    assert stretches(tmp_path / "f", 1 << 42, {}) == ()


def test_close_stretches_are_one(tmp_path: Path) -> None:
    spots = {0: b"x", 64 * 1024: b"y", 64 * 1024 + 4096 + 65536: b"z"}
    assert stretches(tmp_path / "f", 99 * MIB, spots) == ((0, 69_632), (135_168, 4096))


def test_zeros_on_the_disk_are_holes_too(tmp_path: Path) -> None:
    written = stretches(tmp_path / "1", 80 * MIB, {0: b"x", MIB: bytes(3 * MIB), 9 * MIB: b"y"})
    assert written == stretches(tmp_path / "2", 80 * MIB, {9 * MIB: b"y", 0: b"x"})


def test_file_that_spares_little_is_stored_whole(tmp_path: Path) -> None:
    assert stretches(tmp_path / "f", WORTH + MIB, {at * 60_000: b"x" for at in range(280)}) is None


def test_map_has_a_limit(tmp_path: Path) -> None:
    # Each stretch is a block on the disk: 10,000 of them, 128 KiB apart.
    spots = {at * 131_072: b"x" for at in range(10_000)}
    spots[2_000 * MIB] = b"far"
    found = stretches(tmp_path / "f", 3_000 * MIB, spots)
    assert found is not None
    assert len(found) <= STRETCHES
    assert found == ((0, 9_999 * 131_072 + 4096), (2_000 * MIB, 4096))


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(st.integers(0, 40 * MIB), st.binary(min_size=1, max_size=9000), max_size=12),
    st.integers(0, 3 * MIB),
)
def test_tar_of_a_sparse_file_holds_its_content(spots: dict[int, bytes], more: int) -> None:
    fd = os.memfd_create("sparse")
    try:
        size = 48 * MIB + more
        os.ftruncate(fd, size)
        for at, data in spots.items():
            os.pwrite(fd, data, at)
        found = find_stretches(fd, size)
        assert found is not None
        out = bytearray()
        writer = TarWriter(out.extend)
        writer.add(Entry(b"n" * 150, size=size, sparse=found), fd)
        writer.add(Entry(b"after"))
        writer.finish()
        assert len(out) % 512 == 0
        (entry, offset, stored), (after, _, _) = scan(bytes(out), 70_001)
        assert (entry.name, entry.size, entry.sparse, after.name) == (
            b"n" * 150,
            size,
            found,
            b"after",
        )
        content = bytearray(size)
        for at, length in found:
            content[at : at + length] = out[offset : offset + length]
            offset += length
            stored -= length
        assert stored == 0
        assert content == os.pread(fd, size, 0)
    finally:
        os.close(fd)


def test_sparse_file_that_becomes_shorter_is_a_conflict() -> None:
    fd = os.memfd_create("sparse")
    try:
        os.ftruncate(fd, 100)
        writer = TarWriter(bytearray().extend)
        with pytest.raises(Conflict, match="shorter"):
            writer.add(Entry(b"f", size=1000, sparse=((0, 50), (500, 7))), fd)
    finally:
        os.close(fd)
