"""What the tar writer writes: read back by corten, by Python and by GNU tar."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corten.archive.entry import ID_LIMIT, Entry, Kind
from corten.archive.tar_fields import TIME_LIMIT
from corten.archive.tar_writer import PIECE, TarWriter
from corten.errors import Conflict, Invalid
from support.tars import directory, entries, file, link, pack, scan, symlink


def test_plain_members_need_one_header_each() -> None:
    data = pack(directory(b"d"), file(b"d/f", b"x"), symlink(b"l", b"d/f"), link(b"h", b"d/f"))
    assert len(data) == 512 * (4 + 1 + 2)


def test_pax_records_appear_only_where_ustar_cannot_say_it() -> None:
    plain = len(pack(Entry(b"a")))
    assert len(pack(Entry(b"a", uid=0o7777777, mtime_ns=0o77777777777 * 10**9))) == plain
    for entry in (
        Entry(b"a", uid=0o10000000),
        Entry(b"a", gid=0o10000000),
        Entry(b"a", mtime_ns=1),
        Entry(b"a", mtime_ns=-1),
        Entry(b"a", xattrs={"user.x": b""}),
        Entry(b"a" * 101),
        Entry(b"a", "symlink", linkname=b"l" * 101),
    ):
        assert len(pack(entry)) == plain + 1024
        assert entries(pack(entry)) == [entry]


def test_long_name_with_a_slash_in_the_right_place_is_split() -> None:
    name = b"p" * 155 + b"/" + b"n" * 100
    data = pack(Entry(name))
    assert len(data) == 512 * 3
    assert entries(data)[0].name == name
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert archive.getnames() == [name.decode()]


def test_names_in_records_that_are_no_utf_8_are_said_to_be_none() -> None:
    charset = b"21 hdrcharset=BINARY\n"
    assert charset in pack(Entry(b"\xff" * 150))
    assert charset in pack(symlink(b"s", b"\xff" * 150))
    for entry in (
        Entry(b"\xff"),
        Entry("ü".encode() * 80),
        Entry(b"a", xattrs={"user.a": b"\xff"}),
    ):
        assert b"hdrcharset" not in pack(entry)


def test_equal_entries_have_equal_headers_whatever_came_before() -> None:
    entry = Entry(b"f", mode=0o4711, uid=3, gid=2**22, mtime_ns=7, xattrs={"user.a": b"1"})
    alone = pack(entry)[:-1024]
    others = [Entry(b"%d" % i, uid=i, mtime_ns=i * 10**9 + i % 3) for i in range(5000)]
    assert pack(*others, entry)[:-1024].endswith(alone)


def test_directories_end_in_a_slash() -> None:
    assert entries(pack(directory(b"d")))[0].name == b"d/"
    assert entries(pack(directory(b"d/")))[0].name == b"d/"


def test_the_same_entries_give_the_same_bytes() -> None:
    members = (file(b"n" * 300, b"1", xattrs={"user.b": b"2", "user.a": b"1"}), Entry(b"x"))
    again = (file(b"n" * 300, b"1", xattrs={"user.a": b"1", "user.b": b"2"}), Entry(b"x"))
    assert pack(*members) == pack(*again)


def test_data_comes_from_a_descriptor_at_its_position(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"skip" + b"d" * (2 * PIECE))
    out: list[bytes] = []
    writer = TarWriter(out.append)
    with path.open("rb") as opened:
        os.lseek(opened.fileno(), 4, os.SEEK_SET)
        writer.add(Entry(b"f", size=2 * PIECE), opened.fileno())
    writer.finish()
    data = b"".join(out)
    ((_, offset, stored),) = scan(data)
    assert data[offset : offset + stored] == b"d" * (2 * PIECE)
    assert writer.size == len(data)
    assert max(map(len, out)) < 2 * PIECE


def test_file_that_became_shorter_is_a_conflict(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"short")
    with path.open("rb") as opened, pytest.raises(Conflict, match="shorter"):
        TarWriter(bytearray().extend).add(Entry(b"f", size=6), opened.fileno())


@pytest.mark.parametrize(
    ("entry", "data"),
    [
        (Entry(b""), b""),
        (Entry(b"a\0b"), b""),
        (Entry(b"a", "symlink", linkname=b"a\0b"), None),
        (Entry(b"a", size=3), b"xx"),
        (Entry(b"a", size=3), None),
        (Entry(b"d", "directory"), b"data"),
        (Entry(b"a", size=9, sparse=((0, 1),)), None),
        (Entry(b"a", size=9, sparse=((0, 1),)), b"d"),
        (Entry(b"", size=9, sparse=((0, 1),)), 0),
        (Entry(b"d", "directory", sparse=()), 0),
    ],
)
def test_what_a_tar_cannot_hold_is_refused(entry: Entry, data: bytes | None) -> None:
    with pytest.raises(Invalid):
        TarWriter(bytearray().extend).add(entry, data)


def test_checksums_of_names_full_of_high_bytes_are_right() -> None:
    for length in (1, 60, 100, 155, 254):
        name = b"\xff" * min(length, 100) + b"/" + b"\xff" * max(1, length - 101)
        assert entries(pack(Entry(name[:255])))[0].name == name[:255]


def test_gnu_tar_extracts_what_was_written(tmp_path: Path) -> None:
    data = pack(
        directory(b"d", 0o2750, mtime_ns=1_600_000_000_000_000_000),
        file(b"d/" + b"long" * 60, b"content", mtime_ns=1_600_000_000_123_456_789),
        file(b"\xff\xfe", b"not utf-8"),
        symlink(b"s", b"d/" + b"t" * 150),
        link(b"hard", b"\xff\xfe"),
    )
    subprocess.run(["tar", "-x", "-C", tmp_path], input=data, check=True)
    assert (tmp_path / "d" / ("long" * 60)).read_bytes() == b"content"
    assert (tmp_path / "d" / ("long" * 60)).stat().st_mtime_ns == 1_600_000_000_123_456_789
    assert (tmp_path / "d").stat().st_mode & 0o7777 == 0o2750
    assert (tmp_path / "hard").stat().st_nlink == 2
    assert os.readlink(tmp_path / "s") == "d/" + "t" * 150  # noqa: PTH115


_names = st.binary(min_size=1, max_size=300).filter(
    lambda name: b"\0" not in name and not name.endswith(b"/")
)
_keys = st.text(st.characters(exclude_characters="=\0", exclude_categories=["Cs"]), min_size=1)


@st.composite
def _members(draw: st.DrawFn) -> tuple[Entry, bytes | None]:
    kind: Kind = draw(
        st.sampled_from(["file", "directory", "symlink", "link", "char", "block", "fifo"])
    )
    device = kind in ("char", "block")
    data = draw(st.binary(max_size=1200)) if kind == "file" else None
    name = draw(_names)
    entry = Entry(
        name + b"/" if kind == "directory" else name,
        kind,
        draw(st.integers(0, 0o7777)),
        draw(st.integers(0, ID_LIMIT)),
        draw(st.integers(0, ID_LIMIT)),
        len(data or b""),
        draw(st.integers(-TIME_LIMIT * 10**9, TIME_LIMIT * 10**9)),
        draw(_names) if kind in ("symlink", "link") else b"",
        draw(st.integers(0, 4095)) if device else 0,
        draw(st.integers(0, 2**20 - 1)) if device else 0,
        draw(st.dictionaries(_keys.map("user.{}".format), st.binary(max_size=80), max_size=3)),
    )
    return entry, data


@settings(max_examples=150, deadline=None)
@given(st.lists(_members(), max_size=6), st.integers(1, 3000))
def test_what_is_written_is_read_back(members: list[tuple[Entry, bytes | None]], step: int) -> None:
    out = bytearray()
    writer = TarWriter(out.extend)
    for entry, data in members:
        writer.add(entry, data)
    writer.finish()
    found = scan(bytes(out), step)
    assert [msgspec.structs.asdict(m[0]) for m in found] == [
        msgspec.structs.asdict(entry) for entry, _ in members
    ]
    for (_, data), (_, offset, stored) in zip(members, found, strict=True):
        assert out[offset : offset + stored] == (data or b"")


@settings(max_examples=25, deadline=None)
@given(st.lists(_names.filter(lambda name: b"\n" not in name), max_size=8))
def test_gnu_tar_lists_the_names_that_were_written(names: list[bytes]) -> None:
    data = pack(*(Entry(name) for name in names))
    done = subprocess.run(
        ["tar", "-t", "--quoting-style=literal"], input=data, capture_output=True, check=True
    )
    assert done.stdout == b"".join(name + b"\n" for name in names)


_NAMES = st.one_of(
    st.binary(min_size=1, max_size=120),
    st.lists(st.binary(min_size=1, max_size=70), min_size=1, max_size=6).map(b"/".join),
).filter(lambda name: b"\0" not in name and not name.endswith(b"/"))
_IDS = st.sampled_from([0, 1000, 0o7777777, 0o10000000, ID_LIMIT])
_SECONDS = st.one_of(st.integers(-(10**10), 10**10), st.just(0o77777777777 + 1))
_FILES = st.tuples(
    _NAMES,
    st.tuples(st.sampled_from([0o644, 0o4755]), _IDS, _IDS),
    _SECONDS,
    st.binary(max_size=600),
)


@settings(deadline=None)
@given(st.lists(_FILES, min_size=1, max_size=6))
def test_a_plain_file_is_written_as_any_entry(
    files: list[tuple[bytes, tuple[int, int, int], int, bytes]],
) -> None:
    general, short = io.BytesIO(), io.BytesIO()
    one, other = TarWriter(general.write), TarWriter(short.write)
    for name, who, seconds, data in files * 2:  # the second time, owners are known
        one.add(Entry(name, "file", *who, len(data), seconds * 10**9), data)
        other.add_file(name, who, seconds, data)
        assert one.size == other.size
    one.finish()
    other.finish()
    assert short.getvalue() == general.getvalue()


@pytest.mark.parametrize("name", [b"", b"a\0b", b"\0" * 120 + b"/b"])
def test_a_plain_file_s_name_is_checked(name: bytes) -> None:
    writer = TarWriter(io.BytesIO().write)
    writer.add_file(b"a", (0o644, 0, 0), 0, b"")
    with pytest.raises(Invalid):
        writer.add_file(name, (0o644, 0, 0), 0, b"")


@pytest.mark.parametrize("size", [1, PIECE, 3 * PIECE + 5])
def test_what_is_read_from_a_descriptor_is_shown(tmp_path: Path, size: int) -> None:
    path = tmp_path / "f"
    path.write_bytes(os.urandom(size))
    seen = bytearray()
    with path.open("rb") as file:
        TarWriter(io.BytesIO().write).add(Entry(b"f", size=size), file.fileno(), seen.extend)
    assert seen == path.read_bytes()
