"""COPY and ADD: what ends in the layer, where, with which metadata, and under which digest."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
import zstandard

from corten.archive.entry import Entry
from corten.archive.tar_reader import read_members
from corten.builder.archives import is_archive
from corten.builder.cache import BuildCache
from corten.builder.copying import Sources, content_digest, write_layer
from corten.builder.downloads import Means
from corten.builder.graph import Copy, Inline
from corten.builder.hashes import FileHashes, Stamp
from corten.builder.layers import Owner, find_owner
from corten.builder.tree import Tree, open_tree
from corten.dockerfile.ignore import Ignore, parse_ignore
from corten.errors import Cancelled, Conflict, CortenError, Invalid, NotFound
from corten.events.job import Job
from corten.events.model import Event, Warned

T1, T2 = 1_600_000_000, 1_700_000_000


SHORT = Path("/sys/kernel/uevent_seqnum")


class Bench:
    """A context, what lies below, and copies from one onto the other."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.context = root / "context"
        self.below = root / "below"
        self.context.mkdir()
        self.below.mkdir()
        self.cache = BuildCache(root / "cache")
        self.hashes = FileHashes(self.cache, "context")
        self.ignore = Ignore()
        self.keep_owner = False
        self.newest = 0
        self.digest = ""
        self.tar = b""
        self.warned: list[str] = []

    def put(self, name: str, content: bytes | str = b"", mode: int = 0o644, when: int = T1) -> Path:
        path = self.context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        os.utime(path, (when, when))
        return path

    def sources(self, tree: Tree) -> Sources:
        return Sources(
            tree,
            self.keep_owner,
            None if self.keep_owner else self.hashes,
            Means(self.cache, self.file, {}),
        )

    def seen(self, event: Event) -> None:
        if isinstance(event, Warned):
            self.warned.append(event.text)

    def file(self) -> BinaryIO:
        return tempfile.TemporaryFile(dir=self.root)

    def copy(
        self, *sources: str, to: str, empty: bool = False, **fields: object
    ) -> dict[str, Entry]:
        """Carry out a copy; returns the layer's entries by name."""
        op = Copy(tuple(sources), to, **fields)  # type: ignore[arg-type]
        out = io.BytesIO()
        with open_tree(self.context, self.ignore, "the build context") as tree:
            with open_tree(self.below) as below:
                under = None if empty else below
                copied = write_layer(op, self.sources(tree), out.write, under, Job(self.seen))
            self.digest, self.newest = copied.digest, copied.newest
            assert content_digest(op, self.sources(tree), Job()) == self.digest
        self.tar = out.getvalue()
        return {entry.name.decode(): entry for entry, _, _ in self.members()}

    def members(self) -> list[tuple[Entry, int, int]]:
        with self.file() as file:
            file.write(self.tar)
            file.flush()
            return list(read_members(file.fileno()))

    def content(self, name: str) -> bytes:
        for entry, offset, stored in self.members():
            if entry.name.decode() == name:
                return self.tar[offset : offset + stored]
        raise KeyError(name)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.cache.close()


# Destinations


@pytest.mark.parametrize(
    ("sources", "to", "names"),
    [
        (("/a",), "/x", ["x"]),
        (("/a",), "/x/", ["x/", "x/a"]),
        (("/a",), "/new/deep/x", ["new/", "new/deep/", "new/deep/x"]),
        (("/a",), "/there/", ["there/", "there/a"]),
        (("/a",), "/there", ["there/", "there/a"]),
        (("/a",), "/", ["a"]),
        (("/a", "/b"), "/x/", ["x/", "x/a", "x/b"]),
        (("/[ab]",), "/x/", ["x/", "x/a", "x/b"]),
        (("/[ab]",), "/there", ["there/", "there/a", "there/b"]),
        (("/d",), "/x", ["x/", "x/c", "x/e/", "x/e/f"]),
        (("/d",), "/x/", ["x/", "x/c", "x/e/", "x/e/f"]),
        (("/d",), "/", ["c", "e/", "e/f"]),
        (("/d/e", "/a"), "/there/", ["there/", "there/f", "there/a"]),
        (("/d/*",), "/x/", ["x/", "x/c", "x/f"]),
        (("/a",), "/link/", ["there/", "there/a"]),
        (("/a",), "/link", ["there/", "there/a"]),
        (("/a",), "/link/x", ["there/", "there/x"]),
        (("/a",), "/filelink", ["file"]),
        (("/a",), "/file", ["file"]),
    ],
)
def test_where_things_go(bench: Bench, sources: tuple[str, ...], to: str, names: list[str]) -> None:
    for name in ("a", "b", "d/c", "d/e/f"):
        bench.put(name, name)
    (bench.below / "there").mkdir()
    (bench.below / "file").write_text("old")
    (bench.below / "link").symlink_to("there")
    (bench.below / "filelink").symlink_to("/file")
    assert list(bench.copy(*sources, to=to)) == names


def test_missing_parents_are_made_for_everybody_to_read(bench: Bench) -> None:
    bench.put("a", mode=0o600)
    made = bench.copy("/a", to="/new/x", time=5)
    parent = made["new/"]
    assert (parent.mode, parent.uid, parent.gid, parent.mtime_ns) == (0o755, 0, 0, 5 * 10**9)
    assert made["new/x"].mode == 0o600


def test_parents_that_are_there_are_repeated_as_they_are(bench: Bench) -> None:
    bench.put("a")
    (bench.below / "there/deep").mkdir(parents=True)
    (bench.below / "there").chmod(0o1777)
    os.setxattr(bench.below / "there/deep", "user.note", b"kept")
    os.utime(bench.below / "there", ns=(5, 1_700_000_000_123_456_789))
    made = bench.copy("/a", to="/there/deep/x/y")
    assert list(made) == ["there/", "there/deep/", "there/deep/x/", "there/deep/x/y"]
    assert made["there/"].mode == 0o1777
    assert made["there/"].mtime_ns == 1_700_000_000_123_456_789
    assert made["there/deep/"].xattrs == {"user.note": b"kept"}
    assert bench.newest == 1_600_000_000
    assert list(bench.copy("/a", to="/there/deep/x/y", empty=True)) == [
        "there/", "there/deep/", "there/deep/x/", "there/deep/x/y",
    ]  # fmt: skip


def test_a_copied_directory_takes_the_source_s_metadata(bench: Bench) -> None:
    bench.put("d/sub/f")
    (bench.context / "d/sub").chmod(0o750)
    (bench.context / "d").chmod(0o700)
    made = bench.copy("/d", to="/x")
    assert made["x/sub/"].mode == 0o750
    # The destination itself is not the source directory: its contents are copied.
    assert made["x/"].mode == 0o755


def test_a_link_to_a_directory_below_is_copied_through(bench: Bench) -> None:
    bench.put("root/lib/a")
    bench.put("root/lib/deep/b")
    (bench.below / "usr/lib").mkdir(parents=True)
    (bench.below / "lib").symlink_to("usr/lib")
    assert list(bench.copy("/root", to="/")) == [
        "usr/", "usr/lib/", "usr/lib/a", "usr/lib/deep/", "usr/lib/deep/b",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sources", "to", "reason"),
    [
        (("/a",), "/file/", "not a directory"),
        (("/d",), "/file", "not a directory"),
        (("/a",), "/file/x", "in the way"),
        (("/a", "/d/c"), "/x", "cannot be copied to /x, which is not a directory"),
        (("/[ab]",), "/x", "cannot be copied to /x"),
        (("/c",), "/there/", "is a directory, which a file cannot take the place of"),
        (("/d",), "/odd", "in the way"),
    ],
)
def test_what_cannot_be_put_where_it_should_is_refused(
    bench: Bench, sources: tuple[str, ...], to: str, reason: str
) -> None:
    for name in ("a", "b", "c", "d/c", "d/e/f"):
        bench.put(name)
    (bench.below / "there/c").mkdir(parents=True)
    (bench.below / "file").write_text("")
    (bench.below / "odd").mkdir()
    (bench.below / "odd/e").write_text("a file where the source has a directory")
    with pytest.raises(Invalid, match=reason):
        bench.copy(*sources, to=to)


def test_a_source_that_is_not_there_is_named(bench: Bench) -> None:
    with pytest.raises(NotFound, match="sub/a is not in the build context"):
        bench.copy("/sub/a", to="/x")
    with pytest.raises(NotFound, match=r"^sub is not in the build context"):
        bench.copy("/sub/*.go", to="/x/")


def test_wildcards_may_match_nothing(bench: Bench) -> None:
    bench.put("a")
    bench.put("sub/b")
    assert list(bench.copy("/a", "/*.lock", "/sub/x*", "/[s]ub/y", to="/x/")) == ["x/", "x/a"]
    assert bench.warned == []
    assert list(bench.copy("/*.go", to="/x/")) == []
    assert bench.warned == ["nothing is copied to /x/: no file matches"]


def test_a_source_that_is_left_out_says_so(bench: Bench) -> None:
    bench.put("secret")
    bench.ignore = parse_ignore("secret\n")
    with pytest.raises(NotFound) as caught:
        bench.copy("/secret", to="/x")
    assert caught.value.hint == "the ignore file leaves it out"


def test_a_secret_left_out_does_not_come_along_by_its_name(bench: Bench) -> None:
    bench.put("secret")
    bench.put("sub/keep")
    bench.ignore = parse_ignore("*\n!**/keep\n")
    with pytest.raises(NotFound) as caught:
        bench.copy("/secret", to="/x")
    assert caught.value.hint == "the ignore file leaves it out"


# Metadata


def test_files_keep_mode_time_and_content_and_belong_to_root(bench: Bench) -> None:
    path = bench.put("a", b"content", 0o4751, T2)
    os.chown(path, 1000, 1001)
    path.chmod(0o4751)
    entry = bench.copy("/a", to="/x")["x"]
    assert (entry.mode, entry.uid, entry.gid, entry.size) == (0o4751, 0, 0, 7)
    assert entry.mtime_ns == T2 * 10**9
    assert bench.content("x") == b"content"


def test_a_stage_s_files_keep_their_owners_and_attributes(bench: Bench) -> None:
    path = bench.put("a")
    os.chown(path, 1000, 1001)
    os.setxattr(path, "user.note", b"kept")
    bench.keep_owner = True
    entry = bench.copy("/a", to="/x")["x"]
    assert (entry.uid, entry.gid) == (1000, 1001)
    assert dict(entry.xattrs) == {"user.note": b"kept"}
    assert bench.copy("/a", to="/x", chown="5:6")["x"].uid == 5


def test_chmod_counts_for_files_and_directories(bench: Bench) -> None:
    bench.put("d/e/f", mode=0o600)
    (bench.context / "d/l").symlink_to("e")
    made = bench.copy("/d", to="/x", chmod="0750")
    assert (made["x/e/"].mode, made["x/e/f"].mode, made["x/l"].mode) == (0o750, 0o750, 0o777)


def test_chown_counts_for_everything_that_is_made(bench: Bench) -> None:
    bench.put("d/e/f")
    made = bench.copy("/d", to="/x/y", chown="7:8")
    assert {(entry.uid, entry.gid) for entry in made.values()} == {(7, 8)}


@pytest.mark.parametrize(
    ("text", "owner"),
    [
        ("", Owner(0, 0)),
        ("5", Owner(5, 5)),
        ("5:6", Owner(5, 6)),
        ("bin", Owner(2, 2)),
        ("me", Owner(1000, 1000)),
        ("me:staff", Owner(1000, 50)),
        ("me:9", Owner(1000, 9)),
        ("7:staff", Owner(7, 50)),
        (":staff", Owner(0, 50)),
    ],
)
def test_owners_are_looked_up_in_the_image(bench: Bench, text: str, owner: Owner) -> None:
    etc = bench.below / "etc"
    etc.mkdir()
    (etc / "passwd").write_text("root:x:0:0::/:/bin/sh\nbin:x:2:2::/:\nme:x:1000:1001::/:\n")
    (etc / "group").write_text("root:x:0:\nstaff:x:50:\n")
    with open_tree(bench.below) as below:
        assert find_owner(text, below) == owner


@pytest.mark.parametrize("text", ["nobody-here", "5:nogroup", "4294967295", "me"])
def test_an_unknown_owner_is_refused(bench: Bench, text: str) -> None:
    with open_tree(bench.below) as below, pytest.raises(Invalid):
        find_owner(text, below)
    with pytest.raises(Invalid):
        find_owner(text, None)


def test_numbers_need_no_tree_to_look_in() -> None:
    assert find_owner("5:6", None) == Owner(5, 6)
    assert find_owner("5", None) == Owner(5, 5)


def test_links_are_copied_as_links_but_a_named_one_is_followed(bench: Bench) -> None:
    bench.put("d/f", b"target")
    (bench.context / "d/l").symlink_to("/etc/passwd")
    (bench.context / "named").symlink_to("d/f")
    made = bench.copy("/d", to="/x")
    assert (made["x/l"].kind, made["x/l"].linkname) == ("symlink", b"/etc/passwd")
    assert bench.copy("/named", to="/y/")["y/named"].kind == "file"
    assert bench.content("y/named") == b"target"


def test_hard_links_stay_hard_links(bench: Bench) -> None:
    first = bench.put("d/a", b"x" * 5000)
    (bench.context / "d/b").hardlink_to(first)
    made = bench.copy("/d", to="/x")
    assert (made["x/a"].kind, made["x/b"].kind) == ("file", "link")
    assert made["x/b"].linkname == b"x/a"


def test_pipes_are_copied_and_sockets_refused_unless_a_tree_has_them(bench: Bench) -> None:
    os.mkfifo(bench.context / "pipe")
    assert bench.copy("/pipe", to="/x")["x"].kind == "fifo"
    os.mknod(bench.context / "sock", 0o140644)
    with pytest.raises(Invalid, match="sock is a socket"):
        bench.copy("/sock", to="/x")
    assert set(bench.copy("/", to="/x/")) == {"x/", "x/pipe"}


def test_a_name_that_means_a_deletion_is_refused(bench: Bench) -> None:
    bench.put("d/.wh.passwd")
    for sources, to in ((("/d",), "/etc/"), (("/d/.wh.passwd",), "/x/"), (("/d",), "/.wh.x/")):
        with pytest.raises(Invalid, match="mean deletions"):
            bench.copy(*sources, to=to)


def test_large_files_are_written_whole(bench: Bench) -> None:
    data = os.urandom(3 * 1024 * 1024 + 17)
    bench.put("big", data)
    bench.copy("/big", to="/x")
    assert bench.content("x") == data


def test_the_newest_time_is_that_of_what_was_brought_in(bench: Bench) -> None:
    bench.put("a", when=T1)
    bench.put("b", when=T2)
    bench.copy("/a", to="/new/x", time=T2 + 5)
    assert bench.newest == T1
    bench.copy("/a", "/b", to="/x/")
    assert bench.newest == T2


def test_inline_files_are_files(bench: Bench) -> None:
    made = bench.copy(to="/x/", inline=(Inline("E", "text\n"), Inline("F", "")), time=9)
    assert (made["x/E"].mode, made["x/E"].mtime_ns) == (0o644, 9 * 10**9)
    assert bench.content("x/E") == b"text\n"
    assert list(bench.copy(to="/y", inline=(Inline("E", "t"),), chmod="755")) == ["y"]


def test_the_same_files_give_the_same_bytes(bench: Bench) -> None:
    for number in range(20):
        bench.put(f"d/{number % 3}/{number}", str(number))
    bench.copy("/d", to="/x")
    first, digest = bench.tar, bench.digest
    bench.copy("/d", to="/x")
    assert (bench.tar, bench.digest) == (first, digest)


# The digest of content


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ("nothing", True),
        ("touch", True),
        ("owner", True),
        ("rewrite", True),
        ("unrelated", True),
        ("ignored", True),
        ("content", False),
        ("mode", False),
        ("name", False),
        ("more", False),
        ("fewer", False),
        ("link", False),
        ("kind", False),
        ("swap", False),
        ("empty directory", False),
    ],
)
def test_what_changes_the_digest_of_a_copy(bench: Bench, change: str, same: bool) -> None:
    for name in ("d/a", "d/b", "d/sub/c"):
        bench.put(name, name)
    (bench.context / "d/l").symlink_to("a")
    bench.ignore = parse_ignore("d/*.log\n")
    bench.copy("/d", to="/x")
    before = bench.digest
    a, b, link = (bench.context / "d" / name for name in "abl")
    match change:
        case "touch":
            os.utime(a, (T2, T2))
        case "owner":
            os.chown(a, 1, 1)
        case "rewrite":
            bench.put("d/a", "d/a", when=T2)
        case "unrelated":
            bench.put("other", "x")
        case "ignored":
            bench.put("d/x.log", "x")
        case "content":
            bench.put("d/a", "D/a")
        case "mode":
            a.chmod(0o755)
        case "name":
            a.rename(bench.context / "d/z")
        case "more":
            bench.put("d/new")
        case "fewer":
            b.unlink()
        case "link":
            link.unlink()
            link.symlink_to("b")
        case "kind":
            link.unlink()
            link.write_text("a")
        case "swap":
            bench.put("d/a", "d/b")
            bench.put("d/b", "d/a")
        case "empty directory":
            (bench.context / "d/new").mkdir()
    bench.copy("/d", to="/x")
    assert (bench.digest == before) is same


def test_known_digests_are_taken_instead_of_reading(bench: Bench) -> None:
    path = bench.put("a", "x")
    state = path.stat()
    bench.cache.stamp("context", [])
    op = Copy(("/a",), "/x")
    with open_tree(bench.context) as tree:
        plain = content_digest(op, bench.sources(tree), Job())
        bench.hashes.save()
        # A false digest that is remembered shows whether the file is read again.
        stamp = Stamp(state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
        bench.cache.stamp("context", [(b"a", stamp, b"0" * 32)])
        assert content_digest(op, bench.sources(tree), Job()) != plain


def test_a_cancelled_job_stops_a_copy(bench: Bench) -> None:
    bench.put("a")
    job = Job()
    job.cancel()
    with open_tree(bench.context) as tree, pytest.raises(Cancelled):
        content_digest(Copy(("/a",), "/x"), bench.sources(tree), job)


# Archives


def tar_of(*members: tuple[str, bytes | str | None], kind: str = "") -> bytes:
    """A tar: bytes are a file, None a directory, text the target of a link (``kind`` hard or soft)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.mtime, info.uid, info.gid, info.mode = T1, 11, 12, 0o640
            if isinstance(content, bytes):
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
                continue
            info.type = tarfile.DIRTYPE
            if isinstance(content, str):
                info.type = tarfile.LNKTYPE if kind == "hard" else tarfile.SYMTYPE
                info.linkname = content
            tar.addfile(info)
    return out.getvalue()


PLAIN = tar_of(("d", None), ("d/f", b"content"), ("top", b"1"))


@pytest.mark.parametrize(
    "data",
    [
        PLAIN,
        gzip.compress(PLAIN),
        bz2.compress(PLAIN),
        lzma.compress(PLAIN),
        zstandard.compress(PLAIN),
    ],
    ids=["plain", "gzip", "bzip2", "xz", "zstd"],
)
def test_a_local_archive_is_unpacked_whatever_its_name(bench: Bench, data: bytes) -> None:
    bench.put("archive.dat", data, when=T2)
    made = bench.copy("/archive.dat", to="/x", add=True)
    assert list(made) == ["x/", "x/d/", "x/d/f", "x/top"]
    assert bench.content("x/d/f") == b"content"
    entry = made["x/d/f"]
    assert (entry.uid, entry.gid, entry.mode, entry.mtime_ns) == (11, 12, 0o640, T1 * 10**9)
    assert bench.newest == T2


def test_copy_does_not_unpack_and_neither_does_add_from_elsewhere(bench: Bench) -> None:
    bench.put("a.tar", PLAIN)
    assert list(bench.copy("/a.tar", to="/x/")) == ["x/", "x/a.tar"]


def test_an_archive_in_a_directory_is_a_file(bench: Bench) -> None:
    bench.put("d/a.tar", PLAIN)
    assert list(bench.copy("/d", to="/x", add=True)) == ["x/", "x/a.tar"]


@pytest.mark.parametrize(
    "data", [b"", b"text", gzip.compress(b"no tar"), b"\x1f\x8bbroken", b"\0" * 1024, PLAIN[:300]]
)
def test_what_is_no_archive_is_copied(bench: Bench, data: bytes) -> None:
    path = bench.put("a.tar.gz", data)
    with path.open("rb") as file:
        assert not is_archive(file.fileno())
    bench.copy("/a.tar.gz", to="/x", add=True)
    assert bench.content("x") == data


def test_an_archive_s_owners_give_way_to_chown(bench: Bench) -> None:
    bench.put("a.tar", PLAIN)
    made = bench.copy("/a.tar", to="/x/", add=True, chown="5:6")
    assert {(e.uid, e.gid) for e in made.values()} == {(5, 6)}


def test_an_archive_is_merged_with_what_is_below(bench: Bench) -> None:
    bench.put("a.tar", tar_of(("./", None), ("./lib", None), ("./lib/f", b"x"), ("/abs", b"y")))
    (bench.below / "usr/lib").mkdir(parents=True)
    (bench.below / "lib").symlink_to("usr/lib")
    assert list(bench.copy("/a.tar", to="/", add=True)) == ["usr/", "usr/lib/", "usr/lib/f", "abs"]


def test_links_in_an_archive_stay_links(bench: Bench) -> None:
    bench.put("a.tar", tar_of(("f", b"x"), ("s", "/etc/passwd")))
    assert bench.copy("/a.tar", to="/x/", add=True)["x/s"].linkname == b"/etc/passwd"
    bench.put("b.tar", tar_of(("f", b"x"))[: -1024 * 9] + tar_of(("h", "f"), kind="hard"))
    made = bench.copy("/b.tar", to="/x/", add=True)
    assert (made["x/h"].kind, made["x/h"].linkname) == ("link", b"x/f")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tar_of(("../evil", b"x")), "leads outside"),
        (tar_of(("a/../../evil", b"x")), "leads outside"),
        (tar_of(("/../evil", b"x")), "leads outside"),
        (tar_of(("l", "/etc"), ("l/passwd", b"x")), "leads through 'l'"),
        (tar_of(("f", b"x"), ("f/g", b"x")), "leads through 'f'"),
        (tar_of(("h", "../../etc/passwd"), kind="hard"), "leads outside"),
        (tar_of(("h", "missing"), kind="hard"), "links to what is not there"),
        (tar_of((".wh.x", b"")), "mean deletions"),
        (tar_of(("d", None), ("d/.wh..wh..opq", b"")), "mean deletions"),
        (tar_of(("there", b"x")), "is a directory"),
        (PLAIN[:1500], "tar"),
        (gzip.compress(PLAIN)[:-20], "ends in the middle"),
    ],
)
def test_a_hostile_archive_is_refused(bench: Bench, data: bytes, reason: str) -> None:
    bench.put("a.tar", data)
    (bench.below / "there/full").mkdir(parents=True)
    with pytest.raises(CortenError, match=reason):
        bench.copy("/a.tar", to="/", add=True)


def test_an_archive_takes_the_place_of_what_tar_would_replace(bench: Bench) -> None:
    bench.put("a.tar", tar_of(("file", None), ("file/f", b"x"), ("empty", b"y"), ("link", None)))
    (bench.below / "file").write_text("")
    (bench.below / "empty").mkdir()
    (bench.below / "link").symlink_to("file")
    made = bench.copy("/a.tar", to="/", add=True)
    assert list(made) == ["file/", "file/f", "empty", "link/"]
    assert made["empty"].kind == "file"
    twice = tar_of(("d", b""), ("d", None))
    bench.put("b.tar", twice)
    with pytest.raises(Invalid, match="in the way"):
        bench.copy("/b.tar", to="/", add=True)


def test_a_sparse_member_is_written_out(bench: Bench, tmp_path: Path) -> None:
    sparse = tmp_path / "sparse"
    with sparse.open("wb") as file:
        file.truncate(1_000_000)
        file.seek(500_000)
        file.write(b"here")
    os.system(f"cd {tmp_path} && tar --sparse -cf context/s.tar sparse")
    bench.copy("/s.tar", to="/x/", add=True)
    assert bench.content("x/sparse") == sparse.read_bytes()


def test_a_file_that_shrinks_while_it_is_read_is_a_conflict(bench: Bench) -> None:
    path = bench.put("a", b"x" * (2 * 1024 * 1024))

    def shrink(data: bytes) -> None:
        with path.open("r+b") as file:
            file.truncate(10)

    op = Copy(("/a",), "/x")
    with open_tree(bench.context) as tree, pytest.raises(Conflict):
        write_layer(op, bench.sources(tree), shrink, None, Job())


@pytest.mark.skipif(not SHORT.exists(), reason="no /sys")
def test_a_file_with_fewer_bytes_than_its_size_is_not_left_out(bench: Bench) -> None:
    assert len(SHORT.read_bytes()) < SHORT.stat().st_size
    bench.context = SHORT.parent
    with pytest.raises(Conflict, match=f"{SHORT.name} holds"):
        bench.copy(f"/{SHORT.name}", to="/x")
