"""A mounted layer is, path by path, what GNU tar extracts: every form of tar, on every driver."""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corten.archive.entry import Entry
from corten.content.ingest import StorageFull
from corten.errors import Invalid, Unsupported
from corten.oci.digest import Digest
from corten.snapshot.removal import remove_tree
from support.debian import debian_root
from support.disks import MEMORY, disk
from support.erofs_utils import accepted
from support.snapshots import Bench, extracted, gnu_tar
from support.tars import Look, directory, file, header, link, pack, padded, pax, symlink, write_tar

pytestmark = pytest.mark.root

NS = 1_234_567_890_123_456_789
ACL = struct.pack("<IHHIHHIHHIHHIHHI", 2, 1, 7, -1 & 0xFFFFFFFF, 2, 4, 1000, 4, 5, 0xFFFFFFFF,
                  16, 5, 0xFFFFFFFF, 32, 5, 0xFFFFFFFF)  # fmt: skip
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")


def same(bench: Bench, data: bytes, implied: frozenset[bytes] = frozenset()) -> dict[bytes, Look]:
    """The tree of the layer `data`, compared with GNU tar's.

    GNU tar gives `implied` directories, which no member names, the time of day.
    """
    place = Path(tempfile.mkdtemp(dir=bench.directory))
    wanted = extracted(data, place / "reference")
    found = bench.look(bench.layer(data))
    for path in implied:
        assert found[path][1:4] == wanted.pop(path)[1:4] == (0o755, 0, 0)
        del found[path]
    assert found == wanted
    remove_tree(place)
    return found


def test_modes_owners_and_times(bench: Bench) -> None:
    modes = [0o7777, 0o6755, 0o4711, 0o2750, 0o1777, 0o600, 0]
    owners = [0, 65535, 65536, 2**31, 2**32 - 2]
    times = [0, 1, NS, -1, -NS, 2**31 * 10**9, 2**33 * 10**9 + 999_999_999, -(2**31) * 10**9]
    same(
        bench,
        pack(
            *(file(b"f%o" % mode, b"x", mode=mode) for mode in modes),
            *(directory(b"d%o" % mode, mode) for mode in modes),
            *(
                file(b"u%d" % owner, uid=owner, gid=owners[-1 - i])
                for i, owner in enumerate(owners)
            ),
            *(file(b"t%d" % i, mtime_ns=time) for i, time in enumerate(times)),
            *(directory(b"e%d" % i, mtime_ns=time) for i, time in enumerate(times)),
            Entry(b"p", "fifo", 0o4777, 70_000, 70_001, mtime_ns=-NS),
            Entry(b"c", "char", 0o6666, major=4095, minor=1048575, mtime_ns=NS),
            Entry(b"b", "block", 0o1640, major=1, minor=256, mtime_ns=NS),
            Entry(b"l", "symlink", 0o777, 65536, 65537, linkname=b"x" * 2000, mtime_ns=NS),
        ),
    )


def test_attributes_capabilities_and_access_control_lists(bench: Bench) -> None:
    capable = {"security.capability": CAPABILITY}
    attributes = {
        "user.text": b"1",
        "user.empty": b"",
        "user.a=b": b"=",
        "trusted.t": bytes(range(256)),
        **capable,
    }
    acl = {"system.posix_acl_access": ACL}
    data = pack(
        file(b"f", b"x", uid=70_000, xattrs=attributes),
        directory(b"d", 0o2755, xattrs={"trusted.dir": b"d" * 2000, "user.u": b"v"}),
        Entry(b"p", "fifo", xattrs={"trusted.p": b"1"}),
        Entry(b"s", "symlink", 0o777, linkname=b"f", xattrs={**capable, "trusted.s": b"1"}),
        Entry(b"n", "char", 0o600, major=1, minor=3, xattrs=capable),
    )
    seen = same(bench, data)
    assert dict(seen[b"f"][7]) == attributes  # type: ignore[call-overload]
    assert dict(seen[b"n"][7]) == capable  # type: ignore[call-overload]
    assert "security.capability" in dict(seen[b"s"][7])  # type: ignore[call-overload]
    lists = pack(
        file(b"f", b"x", mode=0o755, xattrs=acl),
        directory(b"d", 0o755, xattrs={**acl, "system.posix_acl_default": ACL}),
    )
    with bench.shown(bench.layer(lists)) as tree:
        assert os.getxattr(tree / "f", "system.posix_acl_access") == ACL
        assert os.getxattr(tree / "d", "system.posix_acl_default") == ACL


def test_hard_links_across_directories_and_of_every_kind(bench: Bench) -> None:
    same(
        bench,
        pack(
            directory(b"a"), directory(b"b"), file(b"a/f", b"1"), link(b"b/f", b"a/f"),
            link(b"top", b"./b//f"), file(b"a/f", b"2"), link(b"a/g", b"a/f"),
            symlink(b"s", b"a/f"), link(b"b/s", b"s"), file(b"s", b"3"),
            Entry(b"p", "fifo"), link(b"b/p", b"p"), link(b"b/p", b"p"),
            Entry(b"n", "char", 0o600, major=1, minor=3), link(b"b/n", b"n"),
        ),
    )  # fmt: skip


def test_long_and_strange_names(bench: Bench) -> None:
    deep = b"/".join([b"n" * 250] * 14)
    implied = frozenset(deep[: 251 * depth - 1] for depth in range(1, 14))
    same(
        bench,
        pack(
            file(deep, b"deep"), file(b"x" * 255), file(b"\xff\x80 \n\t'\"", b"?"), file(b"-rf"),
            file("é漢".encode()), symlink(b"y" * 101, b"z" * 101), link(b"z" * 101, deep),
        ),
        implied,
    )  # fmt: skip


def test_100_000_entries_in_one_directory(tmp_path: Path, memory: Path) -> None:
    block = header(b"d/%06d")
    at = block.index(b"%06d")
    base = sum(block) - sum(b"%06d") - sum(block[148:156]) + 8 * 32
    parts = []
    for number in range(100_000):
        digits = b"%06d" % number
        named = block[:at] + digits + block[at + 4 :][: 100 - at - 6].ljust(94 - at, b"\0")
        parts.append(named[:100] + block[100:148] + b"%06o\0 " % (base + sum(digits)) + block[156:])
    for bench in (Bench("erofs", tmp_path / "erofs"), Bench("overlay", memory)):
        with bench.shown(bench.layer(b"".join(parts))) as tree:
            listed = os.listdir(tree / "d")  # noqa: PTH208
            assert sorted(listed) == [f"{number:06}" for number in range(100_000)]
            assert all((tree / f"d/{number:06}").is_file() for number in (0, 57_005, 99_999))


def test_file_beyond_eight_gib(bench: Bench) -> None:
    size = 9 * 2**30 + 5
    base256 = (1 << 95 | size).to_bytes(12, "big")
    heads = (header(b"large", size=base256), pax({b"size": b"%d" % size}) + header(b"large"))
    for head in heads:
        tar = bench.directory / f"large-{len(head)}.tar"
        with tar.open("wb") as out:  # zeros, kept as holes
            out.write(head)
            out.seek(size - 4, os.SEEK_CUR)
            out.write(b"ends" + bytes(-size % 512) + pack(file(b"after", b"a")))
        layer = Digest.of(head)
        bench.snapshotter.apply(layer, tar)
        with bench.shown(layer) as tree, (tree / "large").open("rb") as large:
            status = (tree / "large").stat()
            assert status.st_size == size
            assert status.st_blocks < 2**20 or bench.driver == "erofs"  # the holes are still such
            large.seek(size - 8)
            assert large.read() == b"\0\0\0\0ends"
            assert (tree / "after").read_bytes() == b"a"
        tar.unlink()


@pytest.mark.parametrize(
    "options",
    [
        ["--format=gnu"],
        ["--format=oldgnu"],
        ["--format=pax", "--sparse-version=0.0"],
        ["--format=pax", "--sparse-version=0.1"],
        ["--format=pax", "--sparse-version=1.0"],
    ],
    ids=lambda options: options[-1],
)
def test_sparse_files_as_gnu_tar_writes_them(options: list[str], bench: Bench) -> None:
    source = bench.directory / "source"
    source.mkdir()
    for name, stretches in {"few": 2, "many": 90, "none": 0, "start": 1}.items():
        with (source / name).open("wb") as out:
            for number in range(stretches):
                out.seek(number * 40_960 + (0 if name == "start" else 8192))
                out.write(b"%d" % number * 1000)
            out.truncate(4_000_000)
    command = ["tar", "-c", "-S", *options, "-C", str(source), "."]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    assert len(data) < 1_500_000
    same(bench, data)


OLD: dict[str, Callable[[], bytes]] = {
    "v7": lambda: (
        header(b"f", magic=bytes(8), size=1) + padded(b"x") + header(b"d/", magic=bytes(8))
    ),
    "contiguous": lambda: header(b"f", flag=b"7", size=1) + padded(b"x"),
    "base-256": lambda: header(
        b"f",
        uid=(1 << 63 | 70_000).to_bytes(8, "big"),
        gid=(1 << 63 | (2**32 - 2)).to_bytes(8, "big"),
        mtime=((1 << 96) - 12345).to_bytes(12, "big"),
    ),
    "long names": lambda: (
        header(b"././@LongLink", flag=b"L", size=202) + padded(b"n" * 201 + b"\0") + header(b"n")
    ),
    "long targets": lambda: (
        header(b"././@LongLink", flag=b"K", size=302)
        + padded(b"t" * 301 + b"\0")
        + header(b"s", flag=b"2", linkname=b"t")
    ),
    "prefix": lambda: header(b"f", prefix=b"p" * 155),
    "global": lambda: (
        pax({b"mtime": b"1234.5", b"uid": b"70000", b"comment": b"c"}, b"g")
        + header(b"f")
        + pax({b"mtime": b"99.25"})
        + header(b"g")
    ),
    "trailing garbage": lambda: header(b"f") + bytes(1024) + os.urandom(5000),
    "no end": lambda: header(b"f", size=3) + padded(b"abc"),
    "one zero block": lambda: header(b"f") + bytes(512),
    "repeated": lambda: pack(file(b"f", b"1"), file(b"f", b"2", mode=0o600), file(b"./f", b"3")),
    "empty": lambda: b"",
    "end only": lambda: bytes(1024),
    "spaces for zeros": lambda: header(b"f", mode=b"   644 \0", uid=b"     1 \0"),
}


@pytest.mark.parametrize("form", OLD)
def test_old_and_odd_forms(form: str, bench: Bench) -> None:
    data = OLD[form]()
    implied = frozenset([b"p" * 155]) if form == "prefix" else frozenset()
    if form in ("empty", "trailing garbage"):  # GNU tar complains, and makes the same of it
        assert set(bench.look(bench.layer(data))) == ({b"f"} if data else set())
        return
    same(bench, data, implied)


@pytest.mark.parametrize(
    ("data", "family", "message"),
    [
        (pax({b"path": b"x"}, b"g") + header(b"f"), Unsupported, "path for all members"),
        (pax({b"size": b"1"}, b"g") + header(b"f"), Unsupported, "size for all members"),
        (pax({b"GNU.sparse.major": b"1"}, b"g"), Unsupported, r"GNU\.sparse\.major for all"),
        (header(b"acl", flag=b"A"), Unsupported, "acl: its type is 'A'"),
        (header(b"label", flag=b"V"), Unsupported, "label: its type is 'V'"),
        (header(b"part", flag=b"M"), Unsupported, "part: its type is 'M'"),
        (header(b"dump", flag=b"D"), Unsupported, "dump: its type is 'D'"),
        (header(b"f", size=600) + bytes(512), Invalid, "ends in the middle"),
        (header(b"f", size=b"\xff" * 12), Invalid, "-1 is not a size"),
    ],
)
def test_what_cannot_be_taken_exactly_is_refused(
    data: bytes, family: type[Exception], message: str, bench: Bench
) -> None:
    with pytest.raises(family, match=f"^layer [0-9a-f]{{12}}: .*{message}"):
        bench.layer(data)


NAMES = [b"a", b"b", b"c\xff", b"n" * 120]
FORMATS = ["gnu", "oldgnu", "pax", "ustar", "v7"]


@st.composite
def layers(draw: st.DrawFn) -> list[Entry | tuple[Entry, bytes]]:
    """Members whose every name is spoken for, as GNU tar can extract them."""
    members: list[Entry | tuple[Entry, bytes]] = []
    folders, leaves = [b""], list[bytes]()
    for _ in range(draw(st.integers(1, 14))):
        kind = draw(st.sampled_from(["file", "file", "directory", "symlink", "link", "fifo"]))
        meta: dict[str, Any] = {
            "uid": draw(st.sampled_from([0, 1000, 65536])),
            "mode": draw(st.integers(0, 0o7777)),
            "mtime_ns": draw(st.integers(0, 2**31)) * 10**9
            + draw(st.sampled_from([0, 7, 10**9 - 1])),
        }
        if kind == "directory":
            name = draw(st.sampled_from(folders)) + draw(st.sampled_from([b"d/", b"e/"]))
            members.append(Entry(name, "directory", **meta))
            folders.append(name)
            continue
        name = draw(st.sampled_from(folders)) + draw(st.sampled_from(NAMES))
        if kind == "file":
            content = draw(st.binary(max_size=1500))
            xattrs = {"user.x": b"y"} if draw(st.booleans()) else {}
            members.append(file(name, content, xattrs=xattrs, **meta))
        elif kind == "symlink":
            members.append(Entry(name, "symlink", linkname=draw(st.sampled_from(NAMES)), **meta))
        elif kind == "fifo":
            members.append(Entry(name, "fifo", **meta))
        elif leaves:
            members.append(link(name, draw(st.sampled_from(leaves))))
        else:
            continue
        leaves.append(name)
    return members


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(members=layers(), form=st.sampled_from(FORMATS))
def test_generated_layers(
    members: list[Entry | tuple[Entry, bytes]], form: str, bench: Bench
) -> None:
    same(bench, pack(*members))
    with tempfile.TemporaryDirectory(dir=bench.directory) as scratch:
        tree = Path(scratch, "tree")
        gnu_tar(pack(*members), tree)
        names = sorted(path.name for path in tree.iterdir())
        more = ["--xattrs"] if form == "pax" else []
        command = ["tar", "-c", f"--format={form}", *more, "-C", str(tree), "--", *names]
        written = subprocess.run(command, check=False, capture_output=True)
    if names and not written.stderr:  # v7 and ustar cannot say everything
        same(bench, written.stdout)


def assert_gnu_tar_agrees(tar: Path, disk: Path, memory: Path) -> dict[bytes, Look]:
    """A large layer on both drivers: EROFS by file, what is extracted in memory."""
    wanted = extracted(tar, memory / "reference")
    for bench in (Bench("erofs", disk / "erofs"), Bench("overlay", memory)):
        with tar.open("rb") as file:
            layer = Digest(f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}")
        with accepted(bench.root):
            bench.snapshotter.apply(layer, tar)
            assert bench.look(layer) == wanted
    return wanted


def test_forty_thousand_files(tmp_path: Path, memory: Path) -> None:
    folders = [directory(b"d%02d" % i, 0o755, mtime_ns=NS + i) for i in range(100)]
    files = [
        file(b"d%02d/f%d" % (i % 100, i), b"%d" % i * (i % 9), mode=0o600 + i % 64, uid=i % 70_000)
        for i in range(40_000)
    ]
    links = [link(b"d%02d/l%d" % (i % 97, i), b"d%02d/f%d" % (i % 100, i)) for i in range(500)]
    tar = tmp_path / "layer.tar"
    tar.write_bytes(pack(*folders, *files, *links))
    assert len(assert_gnu_tar_agrees(tar, tmp_path, memory)) == 40_600


@pytest.mark.network
def test_debian_root(tmp_path: Path, memory: Path) -> None:
    tree = assert_gnu_tar_agrees(debian_root(), tmp_path, memory)
    assert len(tree) > 5000
    assert tree[b"bin/su"][1] == 0o4755


def test_attribute_that_the_file_system_cannot_keep_is_no_full_disk(tmp_path: Path) -> None:
    large = pack(
        file(b"d/small", xattrs={"user.a": b"1"}),
        file(b"d/f", xattrs={"user.large": bytes(60_000)}),
    )
    with disk(MEMORY / f"corten-exact-{os.getpid()}", tmp_path / "disk", 32) as place:
        bench = Bench("overlay", place / "overlay")
        said = r"^layer \w{12}: cannot extract d/f: its attribute user.large of 60000 bytes"
        with pytest.raises(Unsupported, match=said) as caught:
            bench.layer(large)
        assert "erofs" in (caught.value.hint or "")
        (place / "filler").write_bytes(b"")
        with pytest.raises(OSError, match="No space"), (place / "filler").open("wb") as filler:
            while True:
                filler.write(bytes(1 << 16))
                filler.flush()
        with pytest.raises(StorageFull, match="d/f"):
            bench.snapshotter.apply(*write_tar(tmp_path / "layer.tar", large))
        assert list(bench.root.glob("layers/overlay/[0-9a-f]*")) == []
    assert Bench("erofs", tmp_path / "erofs").layer(large)
