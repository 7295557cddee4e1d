"""Extended attributes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from corten.system.xattr import layer_attributes, read_xattrs, write_xattrs


def test_attributes_are_written_and_read_by_path_and_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    write_xattrs(str(path), {"user.a": b"\0\xff", "user.b": b""})
    assert read_xattrs(os.fsencode(path)) == {"user.a": b"\0\xff", "user.b": b""}
    with path.open() as opened:
        write_xattrs(opened.fileno(), {"user.a": b"2"})
        assert read_xattrs(opened.fileno())["user.a"] == b"2"


def test_symlinks_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    write_xattrs(str(tmp_path / "file"), {"user.a": b"1"})
    (tmp_path / "link").symlink_to("file")
    assert read_xattrs(str(tmp_path / "link")) == {}


def test_file_systems_without_attributes_have_none() -> None:
    assert read_xattrs("/proc/self/status") == {}


def test_missing_files_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_xattrs(str(tmp_path / "missing"))


def test_attributes_of_the_host_and_of_overlayfs_are_not_the_layer_s() -> None:
    kept = {"user.a": b"1", "security.capability": b"2", "system.posix_acl_access": b"3"}
    own = {"trusted.overlay.opaque": b"y", "security.selinux": b"label", "btrfs.compression": b"z"}
    assert layer_attributes(kept | own) == kept
    assert layer_attributes({}) == {}
