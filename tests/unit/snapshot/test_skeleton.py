"""Mountpoints that are there before anything is mounted."""

from __future__ import annotations

from pathlib import Path

from corten.snapshot.protocols import Mount
from corten.snapshot.skeleton import make_mountpoints, skeleton, underlay
from support.tars import look


def test_skeleton_is_made_once_and_always_the_same(tmp_path: Path) -> None:
    first, second = skeleton(tmp_path / "a"), skeleton(tmp_path / "b")
    assert look(first) == look(second)
    assert skeleton(tmp_path / "a") == first
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"skeleton"}
    assert set(look(first)) >= {b"proc", b"sys", b"dev", b"etc/resolv.conf", b"etc/hosts"}


def test_mountpoints_are_directories_or_empty_files(tmp_path: Path) -> None:
    make_mountpoints(tmp_path, directories=["/data/volume"], files=["/etc/ssl/ca.pem", "top"])
    assert (tmp_path / "data/volume").is_dir()
    assert (tmp_path / "etc/ssl/ca.pem").read_bytes() == b""
    assert (tmp_path / "top").is_file()


def test_underlay_becomes_the_lowest_layer(tmp_path: Path) -> None:
    layer = Mount("erofs", "/i", "/m", ("ro", "device=/d"))
    before = Mount("overlay", "overlay", "", ("lowerdir+=/m", "lowerdir+=/s", "upperdir=/u"))
    after = underlay((layer, before), tmp_path)
    assert after[0] == layer
    assert after[1].options == (
        "lowerdir+=/m",
        "lowerdir+=/s",
        f"lowerdir+={tmp_path}",
        "upperdir=/u",
    )


def test_underlay_leaves_trees_without_overlay_alone(tmp_path: Path) -> None:
    mounts = (Mount("erofs", "/i", "", ("ro",)),)
    assert underlay(mounts, tmp_path) == mounts
