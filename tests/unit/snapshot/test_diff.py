"""Layer tars from upper directories: what can be shown without root."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from corten.errors import Invalid, Unavailable, Unsupported
from corten.snapshot.diff import write_diff
from corten.snapshot.removal import remove_tree
from corten.snapshot.stacks import RootMetadata
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


def test_hard_linked_symlinks_are_links_too(upper: Path) -> None:
    (upper / "a").symlink_to("/nowhere")
    os.link(upper / "a", upper / "b", follow_symlinks=False)
    assert [(e.kind, e.linkname) for e in entries(diff(upper))] == [
        ("symlink", b"/nowhere"),
        ("link", b"a"),
    ]


def test_symlinks_and_pipes_are_kept_sockets_left_out(upper: Path) -> None:
    (upper / "link").symlink_to("x" * 200)
    os.mkfifo(upper / "pipe")
    here = os.open(upper, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"/proc/self/fd/{here}/socket")
    os.close(here)
    assert [(e.name, e.kind) for e in entries(diff(upper))] == [
        (b"link", "symlink"),
        (b"pipe", "fifo"),
    ]


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


def test_trees_that_are_too_deep_are_unsupported(upper: Path) -> None:
    fd = os.open(upper, os.O_RDONLY)
    for _ in range(600):
        os.mkdir("d", dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    try:
        with pytest.raises(Unsupported, match="too deep"):
            diff(upper)
    finally:
        remove_tree(upper)


def test_failure_of_the_receiver_comes_through(upper: Path) -> None:
    (upper / "f").write_text("x")
    descriptors = len(list(Path("/proc/self/fd").iterdir()))

    def full(data: bytes) -> None:
        raise Unavailable("the disk is full")

    with pytest.raises(Unavailable, match="full"):
        write_diff(upper, full)
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
