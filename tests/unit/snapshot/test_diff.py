"""Layer tars from upper directories: what can be shown without root."""

from __future__ import annotations

import os
import resource
import socket
from pathlib import Path

import pytest

from corten.archive.tar_writer import PIECE
from corten.errors import Conflict, Invalid, Unavailable, Unsupported
from corten.snapshot.diff import write_diff
from corten.snapshot.removal import remove_tree
from corten.snapshot.stacks import RootMetadata
from corten.system.xattr import layer_attributes
from support.tars import entries, scan

UID, GID = os.getuid(), os.getgid()
NS = 1_600_000_000_123_456_789


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    path = tmp_path / "upper"
    path.mkdir()
    path.chmod(0o755)
    return path


def diff(upper: Path) -> bytes:
    out = bytearray()
    write_diff(upper, out.extend, root=RootMetadata(0o755, UID, GID, 0))
    return bytes(out)


def test_empty_directory_gives_an_empty_tar(upper: Path) -> None:
    assert diff(upper) == bytes(1024)


def test_members_come_in_the_order_of_their_names(upper: Path) -> None:
    for name in ("b/z", "b/a", "a-", "a/x", "c"):
        (upper / name).parent.mkdir(exist_ok=True)
        (upper / name).write_text(name)
    names = [entry.name for entry in entries(diff(upper))]
    assert names == [b"a/", b"a/x", b"a-", b"b/", b"b/a", b"b/z", b"c"]


def test_metadata_and_data_are_in_the_tar(upper: Path) -> None:
    path = upper / "file"
    path.write_bytes(b"content")
    path.chmod(0o4751)
    os.setxattr(path, "user.key", b"value")
    os.utime(path, ns=(NS, NS))
    data = diff(upper)
    ((entry, offset, stored),) = scan(data)
    assert (entry.mode, entry.uid, entry.gid, entry.mtime_ns) == (0o4751, UID, GID, NS)
    assert entry.xattrs == {"user.key": b"value"}
    assert data[offset : offset + stored] == b"content"


def test_hard_links_name_the_first_of_them(upper: Path) -> None:
    (upper / "b").write_text("x")
    (upper / "a").mkdir()
    os.link(upper / "b", upper / "a/first")
    os.link(upper / "b", upper / "c")
    found = [(e.name, e.kind, e.linkname) for e in entries(diff(upper))]
    assert found == [
        (b"a/", "directory", b""),
        (b"a/first", "file", b""),
        (b"b", "link", b"a/first"),
        (b"c", "link", b"a/first"),
    ]


def test_links_carry_the_files_metadata(upper: Path) -> None:
    (upper / "a").write_text("x")
    (upper / "a").chmod(0o4750)
    os.setxattr(upper / "a", "user.x", b"1")
    os.utime(upper / "a", ns=(NS, NS))
    os.link(upper / "a", upper / "b")
    first, second = entries(diff(upper))
    assert (second.kind, second.linkname) == ("link", b"a")
    for field in ("mode", "uid", "gid", "mtime_ns", "xattrs"):
        assert getattr(first, field) == getattr(second, field)


def test_hard_linked_symlinks_are_links_too(upper: Path) -> None:
    (upper / "a").symlink_to("/nowhere")
    os.link(upper / "a", upper / "b", follow_symlinks=False)
    assert [(e.kind, e.linkname) for e in entries(diff(upper))] == [
        ("symlink", b"/nowhere"),
        ("link", b"a"),
    ]


def _listen(directory: Path) -> None:
    here = os.open(directory, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"/proc/self/fd/{here}/socket")
    os.close(here)


def test_symlinks_and_pipes_are_kept_sockets_left_out(upper: Path) -> None:
    (upper / "link").symlink_to("x" * 200)
    os.mkfifo(upper / "pipe")
    (upper / "run").mkdir()
    _listen(upper / "run")
    assert [(e.name, e.kind) for e in entries(diff(upper))] == [
        (b"link", "symlink"),
        (b"pipe", "fifo"),
        (b"run/", "directory"),
    ]


def test_what_a_socket_took_the_place_of_is_deleted(upper: Path) -> None:
    _listen(upper)  # the root has lower layers under it
    assert [entry.name for entry in entries(diff(upper))] == [b".wh.socket"]
    whole = bytearray()
    write_diff(upper, whole.extend)
    assert [entry.name for entry in entries(bytes(whole)) if entry.name != b"./"] == []


def test_labels_of_the_host_stay_there() -> None:
    found = {
        "security.selinux": b"unconfined",
        "security.evm": b"signed",
        "security.capability": b"kept",
        "system.nfs4_acl": b"of another file system",
        "system.posix_acl_access": b"kept",
        "trusted.overlay.opaque": b"y",
        "btrfs.compression": b"zstd",
    }
    assert set(layer_attributes(found)) == {"security.capability", "system.posix_acl_access"}


def test_large_holes_are_not_in_the_tar(upper: Path) -> None:
    with (upper / "lastlog").open("wb") as file:
        file.seek(292 * 10**9)
        file.write(b"login")
    data = diff(upper)
    assert len(data) < 20_000
    ((entry, offset, stored),) = scan(data)
    assert (entry.name, entry.size) == (b"lastlog", 292 * 10**9 + 5)
    assert entry.sparse == ((292 * 10**9 // 4096 * 4096, stored),)
    assert data[offset : offset + stored].strip(b"\0") == b"login"


def test_small_holes_are_written_out(upper: Path) -> None:
    with (upper / "small").open("wb") as file:
        file.truncate(1_000_000)
    ((entry, _, stored),) = scan(diff(upper))
    assert (entry.sparse, stored) == (None, 1_000_000)


def test_the_same_tree_gives_the_same_bytes(upper: Path) -> None:
    for number in range(40):
        (upper / f"{number * 7919 % 40}").write_text("x")
    assert diff(upper) == diff(upper)


def test_change_of_the_root_directory_is_a_member(upper: Path) -> None:
    upper.chmod(0o700)
    assert [(e.name, e.mode) for e in entries(diff(upper))] == [(b"./", 0o700)]


def test_overlays_own_attributes_are_left_out(upper: Path) -> None:
    (upper / "d").mkdir()
    os.setxattr(upper / "d", "user.overlay.origin", b"x")
    os.setxattr(upper / "d", "user.mine", b"x")
    (entry,) = entries(diff(upper))
    assert entry.xattrs == {"user.mine": b"x"}


def test_names_like_whiteouts_are_invalid(upper: Path) -> None:
    (upper / ".wh.x").write_text("")
    with pytest.raises(Invalid, match=r"\.wh\.x"):
        diff(upper)


def _deep(upper: Path, levels: int) -> None:
    fd = os.open(upper, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)


def test_depth_costs_no_descriptors(upper: Path) -> None:
    _deep(upper, 2000)
    (upper / "e").write_text("after the way back up")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 8, limits[1]))
    try:
        found = entries(diff(upper))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        remove_tree(upper)
    assert [found[0].name, found[1999].name] == [b"d/", b"d/" * 2000]
    assert found[2000].name == b"e"


def test_paths_that_no_layer_may_have_are_unsupported(upper: Path) -> None:
    _deep(upper, 2049)
    try:
        with pytest.raises(Unsupported, match="too deep"):
            diff(upper)
    finally:
        remove_tree(upper)


def test_directory_moved_while_it_is_read_is_a_conflict_and_leads_nowhere_else(
    upper: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("outside")
    (upper / "a/b/c").mkdir(parents=True)
    (upper / "a/b/c/large").write_bytes(bytes(2 * PIECE))
    out = bytearray()

    def move(data: bytes) -> None:
        # The walk stands in c now: two steps up from there would be outside.
        out.extend(data)
        if (upper / "a/b/c").exists():
            (upper / "a/b/c").rename(upper / "c")

    with pytest.raises(Conflict, match="moved"):
        write_diff(upper, move, root=RootMetadata(0o755, UID, GID, 0))
    assert b"outside" not in out


def test_failure_of_the_receiver_comes_through(upper: Path) -> None:
    (upper / "f").write_text("x")
    descriptors = len(list(Path("/proc/self/fd").iterdir()))

    def full(data: bytes) -> None:
        raise Unavailable("the disk is full")

    with pytest.raises(Unavailable, match="full"):
        write_diff(upper, full)
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_a_receiver_that_went_away_is_no_failure_to_read(upper: Path) -> None:
    (upper / "f").write_text("x")

    def gone(data: bytes) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    with pytest.raises(BrokenPipeError):
        write_diff(upper, gone)
