"""Removing trees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from corten.errors import Conflict
from corten.snapshot.removal import remove_tree
from corten.system.mount import mount_options, unmount


def test_tree_of_any_depth_is_removed(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("deep", dir_fd=fd)
        inner = os.open("deep", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    remove_tree(tmp_path / "deep")
    assert list(tmp_path.iterdir()) == []


def test_symlinks_are_removed_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").write_text("kept")
    tree = tmp_path / "tree"
    (tree / "a/b").mkdir(parents=True)
    (tree / "a/out").symlink_to(tmp_path / "kept")
    (tree / "a/b/file").write_text("")
    remove_tree(tree)
    assert not tree.exists()
    assert (tmp_path / "kept/file").read_text() == "kept"


def test_what_is_not_there_needs_no_removal(tmp_path: Path) -> None:
    (tmp_path / "tree/a").mkdir(parents=True)
    (tmp_path / "tree/b").mkdir()
    remove_tree(tmp_path / "tree")
    remove_tree(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


def test_file_or_symlink_in_its_place_is_removed(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("dir")
    remove_tree(tmp_path / "file")
    remove_tree(tmp_path / "link")
    assert [path.name for path in tmp_path.iterdir()] == ["dir"]


@pytest.mark.root
def test_what_is_mounted_inside_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").write_text("kept")
    (tmp_path / "tree/inside").mkdir(parents=True)
    mount_options("bind", str(tmp_path / "kept"), str(tmp_path / "tree/inside"), ())
    try:
        with pytest.raises(Conflict, match="mounted"):
            remove_tree(tmp_path / "tree")
        assert (tmp_path / "kept/file").read_text() == "kept"
    finally:
        unmount(str(tmp_path / "tree/inside"))
    remove_tree(tmp_path / "tree")
    assert (tmp_path / "kept/file").exists()
