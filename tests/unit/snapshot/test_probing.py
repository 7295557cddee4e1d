"""Drivers by name, and what is remembered of a probe."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from corten.errors import Unsupported, Usage
from corten.snapshot.erofs import ErofsSnapshotter
from corten.snapshot.overlay import OverlaySnapshotter
from corten.snapshot.probing import DRIVERS, Report, choose, probe


def test_driver_can_be_forced_by_name(tmp_path: Path) -> None:
    assert isinstance(choose(tmp_path, "erofs"), ErofsSnapshotter)
    assert isinstance(choose(tmp_path, "overlay"), OverlaySnapshotter)
    assert "named" in probe(tmp_path, "overlay").why
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["aufs", "devicemapper", "overlay2"])
def test_drivers_that_are_gone_say_what_replaces_them(name: str, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=name) as caught:
        choose(tmp_path, name)
    assert "overlay" in caught.value.hint


def test_unknown_driver_is_a_usage_error_that_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(Usage, match="zfs") as caught:
        probe(tmp_path, "zfs")
    assert all(name in caught.value.hint for name in DRIVERS)


@pytest.mark.root
def test_probe_chooses_what_the_kernel_takes_and_remembers_it(tmp_path: Path) -> None:
    report = probe(tmp_path)
    assert report.driver in DRIVERS
    assert report.why
    assert choose(tmp_path).driver == report.driver
    remembered = tmp_path / "snapshots/driver.json"
    before = remembered.stat().st_ino
    assert probe(tmp_path) == report
    assert remembered.stat().st_ino == before
    assert probe(tmp_path, again=True) == report
    assert remembered.stat().st_ino != before
    assert not list((tmp_path / "layers").glob(".probe*"))


@pytest.mark.root
def test_damaged_memory_of_a_probe_is_made_anew(tmp_path: Path) -> None:
    report = probe(tmp_path)
    (tmp_path / "snapshots/driver.json").write_text("{")
    assert probe(tmp_path) == report


@pytest.mark.root
def test_nothing_stays_mounted_or_open_after_a_probe(tmp_path: Path) -> None:
    descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    assert isinstance(probe(tmp_path), Report)
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
    assert len(os.listdir("/proc/self/fd")) == descriptors  # noqa: PTH208
