"""What the tar scanner reads, and what it refuses."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from corten.archive import tar_fields
from corten.archive.entry import Entry
from corten.archive.tar_reader import TarScanner, read_members
from corten.errors import Invalid, Unsupported
from support.tars import END, directory, entries, file, header, pack, padded, pax, record, scan


def test_members_are_the_same_whatever_the_size_of_the_pieces() -> None:
    data = pack(
        directory(b"d"),
        file(b"d/" + b"x" * 200, b"abc", mtime_ns=1_500_000_000_123_456_789),
        file(b"d/y", b"z" * 3000, uid=70000, xattrs={"user.a": b"\0\n="}),
        Entry(b"c", "char", major=1, minor=3),
    )
    whole = scan(data)
    assert len(whole) == 4
    for step in (1, 3, 511, 512, 513, 1024, 4000):
        assert scan(data, step) == whole


def test_memoryviews_and_bytearrays_are_taken() -> None:
    data = pack(file(b"a", b"1"))
    for form in (memoryview(data), bytearray(data)):
        scanner = TarScanner()
        assert [member[0].name for member in scanner.feed(form)] == [b"a"]


def test_offsets_point_at_the_data() -> None:
    data = pack(file(b"a", b"first"), file(b"b" * 150, b"second"))
    for (_, offset, stored), wanted in zip(scan(data), (b"first", b"second"), strict=True):
        assert data[offset : offset + stored] == wanted
        assert offset % 512 == 0


def test_walk_over_a_file_seeks_past_data_and_leaves_its_position(tmp_path: Path) -> None:
    data = pack(file(b"a", bytes(3_000_000)), file(b"b", b"end"))
    path = tmp_path / "t.tar"
    path.write_bytes(data)
    with path.open("rb") as opened:
        opened.seek(5)
        found = list(read_members(opened.fileno()))
        assert os.lseek(opened.fileno(), 0, os.SEEK_CUR) == 5
    assert found == scan(data)


def test_gap_can_be_skipped_instead_of_fed() -> None:
    data = pack(file(b"a", bytes(5000)), file(b"b", b"x"))
    scanner = TarScanner()
    assert len(scanner.feed(data[:512])) == 1
    gap = scanner.gap
    assert gap == 5120
    scanner.skip(gap)
    assert [m[0].name for m in scanner.feed(data[512 + gap :])] == [b"b"]
    with pytest.raises(ValueError, match="cannot skip"):
        scanner.skip(1)


def test_what_follows_the_end_blocks_is_ignored() -> None:
    assert len(entries(pack(file(b"a")) + b"garbage" * 1000)) == 1


@pytest.mark.parametrize("data", [b"", bytes(512), END, bytes(10240)])
def test_empty_archives_have_no_members(data: bytes) -> None:
    assert entries(data) == []


def test_archive_without_end_blocks_is_read() -> None:
    assert len(entries(header(b"a"))) == 1


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_python_writes_is_read(format: int) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as archive:
        for name, size in (("short", 3), ("dir/" + "n" * 90 + "/" + "m" * 90, 0)):
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode, info.uid = size, 1234567890, 0o4755, 1000
            archive.addfile(info, io.BytesIO(b"x" * size))
        info = tarfile.TarInfo("link")
        info.type, info.linkname = tarfile.SYMTYPE, "t" * 99
        archive.addfile(info)
    found = entries(buffer.getvalue())
    assert found[0] == Entry(b"short", "file", 0o4755, 1000, 0, 3, 1234567890 * 10**9)
    assert found[1].name == b"dir/" + b"n" * 90 + b"/" + b"m" * 90
    assert (found[2].kind, found[2].linkname) == ("symlink", b"t" * 99)


def test_gnu_long_names_and_link_names_are_read() -> None:
    name, target = b"n" * 300, b"t" * 400
    data = (
        header(b"././@LongLink", flag=b"L", size=301)
        + padded(name + b"\0")
        + header(b"././@LongLink", flag=b"K", size=401)
        + padded(target + b"\0")
        + header(b"n" * 100, flag=b"2", magic=b"ustar  \0", linkname=b"t" * 100)
    )
    (entry,) = entries(data)
    assert (entry.name, entry.linkname) == (name, target)


def test_gnu_headers_have_no_prefix() -> None:
    (entry,) = entries(header(b"name", magic=b"ustar  \0", prefix=b"12345670123\0"))
    assert entry.name == b"name"


def test_v7_directory_is_known_by_its_slash() -> None:
    found = entries(header(b"dir/", flag=b"\0", magic=bytes(8)) + header(b"f", flag=b"\0"))
    assert [entry.kind for entry in found] == ["directory", "file"]


def test_base_256_numbers_are_read() -> None:
    big = (2**40).to_bytes(12, "big")
    data = header(
        b"a",
        uid=b"\x80" + (3_000_000).to_bytes(7, "big"),
        mtime=b"\xff" * 11 + b"\xfe",
        size=b"\x80" + big[1:],
    )
    scanner = TarScanner()
    ((entry, _, stored),) = scanner.feed(data)
    assert (entry.uid, entry.mtime_ns, stored) == (3_000_000, -2 * 10**9, 2**40)


@pytest.mark.parametrize(
    "field", [b"     144 \0\0\0", b"144\0garbage!", b"000000000144", b" 144        "]
)
def test_octal_numbers_of_other_writers_are_read(field: bytes) -> None:
    ((_, _, stored),) = TarScanner().feed(header(b"a", size=field))
    assert stored == 100


def test_signed_checksums_of_old_tars_are_accepted() -> None:
    block = header(b"\xff\xfe")
    unsigned = sum(block[:148]) + 256 + sum(block[156:])
    total = unsigned - 2 * 256
    assert entries(header(b"\xff\xfe", checksum=b"%06o\0 " % total))[0].name == b"\xff\xfe"


def test_pax_records_override_the_header_and_empty_ones_do_not() -> None:
    data = pax(
        {
            b"path": b"long/name",
            b"uid": b"4000000000",
            b"gid": b"",
            b"mtime": b"-1.25",
            b"SCHILY.xattr.user.k": b"v=1\n",
            b"size": b"3",
            b"comment": b"whatever",
        }
    )
    data += header(b"short", gid=b"0000007\0") + padded(b"abc")
    ((entry, _, stored),) = scan(data)
    assert entry == Entry(
        b"long/name", "file", 0o644, 4000000000, 7, 3, -1_250_000_000, xattrs={"user.k": b"v=1\n"}
    )
    assert stored == 3


def test_pax_records_last_for_one_member_and_global_ones_for_all() -> None:
    data = (
        pax({b"uid": b"5", b"mtime": b"9"}, flag=b"g")
        + pax({b"uid": b"6"})
        + header(b"a")
        + header(b"b")
    )
    assert [(e.uid, e.mtime_ns) for e in entries(data)] == [(6, 9 * 10**9), (5, 9 * 10**9)]


@pytest.mark.parametrize("key", [b"path", b"linkpath", b"size", b"GNU.sparse.major"])
def test_global_header_may_not_rename_or_resize_members(key: bytes) -> None:
    with pytest.raises(Unsupported, match="for all members"):
        entries(pax({key: b"1"}, flag=b"g") + header(b"a"))


def sparse_old() -> bytes:
    """GNU's own form with more stretches than fit into the header."""
    pairs = [(i * 1024, 512) for i in range(6)]
    block = bytearray(header(b"s", flag=b"S", size=6 * 512, magic=b"ustar  \0"))
    for i, (offset, length) in enumerate(pairs[:4]):
        block[386 + 24 * i : 410 + 24 * i] = b"%011o\0%011o\0" % (offset, length)
    block[482] = 1
    block[483:495] = b"%011o\0" % 8000
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    more = b"".join(b"%011o\0%011o\0" % pair for pair in pairs[4:])
    return bytes(block) + more + bytes(512 - len(more)) + bytes(6 * 512)


def sparse_pax(form: str) -> bytes:
    common = {b"GNU.sparse.name": b"s", b"GNU.sparse.size": b"8000"}
    pairs = [(i * 1024, 512) for i in range(6)]
    data = bytes(6 * 512)
    if form == "0.0":
        raw = record(b"GNU.sparse.size", b"8000") + record(b"GNU.sparse.numblocks", b"6")
        for offset, length in pairs:
            raw += record(b"GNU.sparse.offset", b"%d" % offset)
            raw += record(b"GNU.sparse.numbytes", b"%d" % length)
        return pax(raw) + header(b"s", size=len(data)) + data
    if form == "0.1":
        text = ",".join(f"{a},{b}" for a, b in pairs).encode()
        return pax({**common, b"GNU.sparse.map": text}) + header(b"x", size=len(data)) + data
    text = padded(("6\n" + "".join(f"{a}\n{b}\n" for a, b in pairs)).encode())
    records = {b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0", **common}
    records[b"GNU.sparse.realsize"] = records.pop(b"GNU.sparse.size")
    return pax(records) + header(b"x", size=len(text) + len(data)) + text + data


@pytest.mark.parametrize("form", ["old", "0.0", "0.1", "1.0"])
def test_all_sparse_forms_are_read(form: str) -> None:
    data = sparse_old() if form == "old" else sparse_pax(form)
    ((entry, offset, stored), (after, _, _)) = scan(data + header(b"after"))
    assert (entry.name, entry.size, stored) == (b"s", 8000, 6 * 512)
    assert entry.sparse == tuple((i * 1024, 512) for i in range(6))
    assert offset + stored == len(data)
    assert after.name == b"after"
    assert scan(data, 7)[0][0] == entry


@pytest.mark.parametrize("option", ["--format=gnu", "--sparse-version=0.0", "--sparse-version=1.0"])
def test_sparse_files_of_gnu_tar_are_read(tmp_path: Path, option: str) -> None:
    path = tmp_path / "holes"
    with path.open("wb") as opened:
        opened.truncate(4_000_000)
        for at in range(20):
            os.pwrite(opened.fileno(), b"data", at * 200_000)
    command = ["tar", "-c", "-S", "-C", str(tmp_path), option, "holes"]
    if "gnu" not in option:
        command.insert(2, "--format=pax")
    data = subprocess.run(command, check=True, capture_output=True).stdout
    (entry,) = entries(data)
    assert entry.name == b"holes"
    assert entry.size == 4_000_000
    assert entry.sparse is not None
    assert len(entry.sparse) >= 20


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"not a tar" * 200, "not an octal number|checksum"),
        (header(b"a", checksum=b"000000\0 "), "checksum"),
        (header(b"a", size=b"0000000008\0 "), "not an octal"),
        (header(b"a", size=b"-0000000001\0"), "not an octal"),
        (header(b"a", size=b"\xff" * 12), "not a size"),
        (header(b"a", uid=b"\xff" * 8), "not an id"),
        (header(b"a", uid=b"\x80\0\0\xff\xff\xff\xff\xff"), "not an id"),
        (header(b"a", mtime=b"\x80" + b"\x7f" * 11), "out of range"),
        (header(b"a", size=100) + bytes(100), "ends in the middle"),
        (header(b"a")[:300], "ends in the middle"),
        (header(b"x", flag=b"x", size=600) + bytes(512), "ends in the middle"),
        (pax({b"uid": b"1"}), "ends in the middle"),
        (bytes(512) + header(b"a"), "lone zero block"),
        (pax({b"path": b"a\0b"}) + header(b"a"), "NUL"),
        (pax({b"size": b"-1"}) + header(b"a"), "not a number"),
        (pax({b"size": b"9" * 20}) + header(b"a"), "not a size"),
        (pax({b"mtime": b"nan"}) + header(b"a"), "a time is"),
        (pax({b"mtime": b"9" * 25}) + header(b"a"), "out of range"),
        (pax(b"10 a=b\n") + header(b"a"), "length is wrong"),
        (pax(b"999999999999999999999999 a=b\n") + header(b"a"), "no length"),
        (pax(b"6 a=b\n0 c=d\n") + header(b"a"), "length is wrong"),
        (pax(b"5 abc\n") + header(b"a"), "length is wrong|no keyword"),
        (pax(b"6 abc\n") + header(b"a"), "no keyword"),
        (header(b"x", flag=b"L", size=2**30), "larger than the limit"),
        (header(b"x", flag=b"x", size=tar_fields.EXTENSION_LIMIT + 1), "larger than the limit"),
    ],
)
def test_malformed_archives_are_refused(data: bytes, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        entries(data)


@pytest.mark.parametrize("flag", [b"M", b"V", b"D", b"N", b"9", b"\xfe"])
def test_members_of_unknown_type_are_refused_by_name(flag: bytes) -> None:
    with pytest.raises(Unsupported, match="odd"):
        entries(header(b"odd", flag=flag))


def test_sparse_maps_must_fit_the_file() -> None:
    for text in (b"0,512,100,512", b"0,9000", b"0,512", b"0,512,1024", b"5,x"):
        records = {b"GNU.sparse.map": text, b"GNU.sparse.size": b"8000"}
        with pytest.raises(Invalid):
            entries(pax(records) + header(b"x", size=1024) + bytes(1024))


def test_sparse_map_that_never_ends_is_refused() -> None:
    records = {b"GNU.sparse.major": b"1", b"GNU.sparse.realsize": b"8000"}
    endless = b"9" * 512
    with pytest.raises(Invalid, match=r"does not end|not a number"):
        entries(pax(records) + header(b"x", size=10 * 512) + endless * 10)


def test_the_longest_sparse_map_costs_no_more_than_its_length() -> None:
    count = 65536
    text = padded(b"%d\n" % count + b"%015d\n0\n" % 0 * count)
    records = {b"GNU.sparse.major": b"1", b"GNU.sparse.realsize": b"8000"}
    data = pax(records) + header(b"x", size=len(text)) + text
    begin = time.process_time()
    ((entry, _, stored),) = scan(data)
    # Splitting the map anew with each of its blocks takes seconds.
    assert time.process_time() - begin < 1
    assert (entry.sparse, stored) == ((), 0)


def test_global_headers_are_bounded_together() -> None:
    data = b"".join(pax({b"comment%d" % i: b"x" * 900_000}, flag=b"g") for i in range(2))
    with pytest.raises(Invalid, match="global headers are too large"):
        entries(data + header(b"a"))


def test_second_global_header_replaces_only_the_keywords_it_has() -> None:
    # POSIX pax, "pax Header Block"; GNU tar forgets the first one instead.
    data = (
        pax({b"uid": b"7", b"mtime": b"5"}, b"g")
        + pax({b"mtime": b"6"}, b"g")
        + header(b"a")
        + pax({b"uid": b""})
        + header(b"b", uid=b"0000011\0")
    )
    first, second = entries(data)
    assert (first.uid, first.mtime_ns) == (7, 6 * 10**9)
    assert (second.uid, second.mtime_ns) == (9, 6 * 10**9)
