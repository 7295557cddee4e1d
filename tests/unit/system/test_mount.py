"""Mounting by system call."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from corten.archive.entry import Entry
from corten.errors import (
    Conflict,
    CortenError,
    Denied,
    NotFound,
    Unavailable,
    Unsupported,
)
from corten.snapshot.erofs_index import build_index
from corten.snapshot.erofs_layout import SLOTS
from corten.snapshot.erofs_reader import IndexReader
from corten.snapshot.feeding import read_tree
from corten.snapshot.holdings import LayerRecord
from corten.snapshot.merging import Stratum, merge_indexes
from corten.system.loop import attach
from corten.system.mount import mount, mount_error, mount_options, try_file_system, unmount
from support.tars import pack, write_tar


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "target"
    path.mkdir()
    try:
        yield path
    finally:
        with suppress(CortenError):  # the error that says: nothing more is mounted here
            while True:
                unmount(str(path), detach=True)


@pytest.mark.parametrize(
    ("number", "family"),
    [
        (errno.EPERM, Denied),
        (errno.ENOENT, NotFound),
        (errno.EBUSY, Conflict),
        (errno.ENODEV, Unsupported),
        (errno.EINVAL, Unsupported),
        (errno.EIO, Unavailable),
    ],
)
def test_errors_say_what_was_tried(number: int, family: type[CortenError]) -> None:
    error = mount_error(number, "cannot mount x")
    assert type(error) is family
    assert str(error) == f"cannot mount x: {os.strerror(number)}"


@pytest.mark.root
def test_mount_and_unmount(target: Path) -> None:
    mount("tmpfs", str(target), "tmpfs", data="size=1m")
    (target / "file").write_text("x")
    unmount(str(target))
    assert list(target.iterdir()) == []


@pytest.mark.root
def test_failures_are_errors_of_the_families(target: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="missing"):
        mount("tmpfs", str(tmp_path / "missing"), "tmpfs")
    with pytest.raises(Unsupported, match="nosuchfs"):
        mount("x", str(target), "nosuchfs")
    with pytest.raises(CortenError, match="unmount"):
        unmount(str(target))
    mount_options("tmpfs", "tmpfs", str(target), ())
    with (target / "open").open("w"), pytest.raises(Conflict, match="busy"):
        unmount(str(target))


@pytest.mark.root
def test_readonly_bind_is_readonly(target: Path, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    mount_options("bind", str(tmp_path / "source"), str(target), ("ro", "nosuid"))
    with pytest.raises(OSError, match="Read-only"):
        (target / "x").write_text("")
    (tmp_path / "source/x").write_text("")
    assert (target / "x").exists()


@pytest.mark.root
@pytest.mark.parametrize("name", ["plain", "with:colon", "with,comma", "back\\slash", "x" * 200])
def test_overlays_take_any_path(name: str, target: Path, tmp_path: Path) -> None:
    for directory in ("lower", "upper", "work"):
        (tmp_path / name / directory).mkdir(parents=True)
    (tmp_path / name / "lower/file").write_text("lower")
    options = (
        f"lowerdir+={tmp_path / name / 'lower'}",
        f"upperdir={tmp_path / name / 'upper'}",
        f"workdir={tmp_path / name / 'work'}",
        "nodev",
    )
    mount_options("overlay", "overlay", str(target), options)
    assert (target / "file").read_text() == "lower"
    (target / "new").write_text("upper")
    unmount(str(target))
    assert (tmp_path / name / "upper/new").read_text() == "upper"


@pytest.mark.root
def test_what_the_kernel_says_of_an_overlay_is_in_the_message(target: Path) -> None:
    with pytest.raises(Unsupported) as caught:
        mount_options("overlay", "overlay", str(target), ("no_such_option=1",))
    assert "no_such_option" in str(caught.value)
    with pytest.raises(NotFound, match="/nowhere"):
        mount_options("overlay", "overlay", str(target), ("lowerdir+=/nowhere",))


@pytest.mark.root
def test_file_systems_are_tried_without_a_mountpoint(tmp_path: Path) -> None:
    assert try_file_system("overlay") is False
    with pytest.raises(Unsupported, match="nosuchfs"):
        try_file_system("nosuchfs")
    (tmp_path / "empty").write_bytes(bytes(8192))
    with pytest.raises(CortenError, match="erofs"):
        try_file_system("erofs", str(tmp_path / "empty"))
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()


@pytest.mark.root
def test_loop_device_shows_the_file_and_goes_with_its_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"x" * 4096)
    device, fd = attach(str(path))
    try:
        assert os.pread(fd, 10, 0) == b"x" * 10
        backing = Path(f"/sys/block/{Path(device).name}/loop/backing_file")
        assert backing.read_text().strip() == str(path)
        with pytest.raises(OSError, match=r"."), Path(device).open("r+b") as writing:
            writing.write(b"y")
    finally:
        os.close(fd)
    with suppress(FileNotFoundError):
        assert backing.read_text().strip() != str(path)


def test_loop_device_over_nothing_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="missing"):
        attach(str(tmp_path / "missing"))


@pytest.mark.root
@pytest.mark.parametrize("name", ["a,b", "a:b", "with space", "/".join(["long" * 20] * 5)])
def test_erofs_takes_any_path_and_any_number_of_devices(
    name: str, target: Path, tmp_path: Path
) -> None:

    place = tmp_path / name
    place.mkdir(parents=True)
    layers, tars = [], {}
    for number in range(SLOTS):
        data = pack((Entry(b"f%d" % number, size=3), b"%03d" % number))
        diff_id, tar = write_tar(place / f"{number}.tar", data)
        tars[diff_id] = tar
        reader = IndexReader(build_index(read_tree(tar), len(data)))
        layers.append(Stratum(diff_id, reader, LayerRecord("erofs", data_size=len(data))))
    merged = merge_indexes(layers)
    index = place / "index"
    index.write_bytes(b"".join(merged.pieces))
    devices = [f"device={tars[device]}" for device in merged.devices]
    mount_options("erofs", str(index), str(target), ("ro", *devices))
    try:
        for number in range(SLOTS):
            assert (target / f"f{number}").read_bytes() == b"%03d" % number
    finally:
        unmount(str(target))
