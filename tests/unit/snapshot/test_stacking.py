"""How stacks of layers become mounts; nothing is mounted here."""

from __future__ import annotations

from pathlib import Path

import pytest

from corten.errors import Corrupt, NotFound
from corten.oci.digest import Digest
from corten.snapshot.erofs import ErofsSnapshotter
from corten.snapshot.protocols import Feeds, Mount, Snapshotter
from support.tars import directory, file, pack, write_tar


@pytest.fixture
def snapshotter(tmp_path: Path) -> ErofsSnapshotter:
    return ErofsSnapshotter(tmp_path / "root")


def apply(snapshotter: ErofsSnapshotter, place: Path, data: bytes) -> Digest:
    diff_id, tar = write_tar(place / "layer.tar", data)
    snapshotter.apply(diff_id, tar)
    tar.unlink()
    return diff_id


def test_drivers_are_snapshotters_and_take_feeds(snapshotter: ErofsSnapshotter) -> None:
    typed: Snapshotter = snapshotter
    assert isinstance(typed, Feeds)


def test_layers_are_mounted_before_the_overlay_that_stacks_them(
    snapshotter: ErofsSnapshotter, tmp_path: Path
) -> None:
    low = apply(snapshotter, tmp_path, pack(file(b"a")))
    high = apply(snapshotter, tmp_path, pack(file(b"b")))
    mounts = snapshotter.prepare("k", [low, high])
    layers, snapshot = tmp_path / "root/layers/erofs", tmp_path / "root/snapshots/k"
    assert [mount.target for mount in mounts] == [
        str(layers / high.encoded / "mnt"),
        str(layers / low.encoded / "mnt"),
        "",
    ]
    assert mounts[0].type == "erofs"
    assert mounts[0].options == ("ro", f"device={layers / high.encoded / 'data'}")
    assert mounts[-1] == Mount(
        "overlay",
        "overlay",
        "",
        (
            f"lowerdir+={layers / high.encoded / 'mnt'}",
            f"lowerdir+={layers / low.encoded / 'mnt'}",
            f"lowerdir+={tmp_path / 'root/snapshots/skeleton'}",
            f"upperdir={snapshot / 'upper'}",
            f"workdir={snapshot / 'work'}",
            "redirect_dir=nofollow",
            "metacopy=off",
            "index=off",
        ),
    )
    assert snapshotter.mounts("k") == mounts


def test_one_readonly_layer_needs_no_overlay(snapshotter: ErofsSnapshotter, tmp_path: Path) -> None:
    plain = apply(snapshotter, tmp_path, pack(file(b"a")))
    hiding = apply(snapshotter, tmp_path, pack(file(b".wh.a")))
    (mount,) = snapshotter.prepare("plain", [plain], readonly=True)
    assert (mount.type, mount.target) == ("erofs", "")
    assert [mount.type for mount in snapshotter.prepare("h", [hiding], readonly=True)] == [
        "erofs",
        "overlay",
    ]


def test_upper_directory_takes_the_root_that_the_topmost_layer_names(
    snapshotter: ErofsSnapshotter, tmp_path: Path
) -> None:
    low = apply(snapshotter, tmp_path, pack(directory(b"./", 0o700)))
    high = apply(snapshotter, tmp_path, pack(directory(b"./", 0o711)))
    silent = apply(snapshotter, tmp_path, pack(file(b"a")))
    for key, layers, mode in (
        ("a", [low, high, silent], 0o711),
        ("b", [high, low], 0o700),
        ("c", [silent], 0o755),
        ("d", [], 0o755),
    ):
        snapshotter.prepare(key, layers)
        upper = tmp_path / "root/snapshots" / key / "upper"
        assert upper.stat().st_mode & 0o7777 == mode


def test_layer_goes_on_existing_when_its_tar_was_unlinked(
    snapshotter: ErofsSnapshotter, tmp_path: Path
) -> None:
    layer = apply(snapshotter, tmp_path, pack(file(b"a", b"x")))
    assert snapshotter.prepare("k", [layer])


def test_snapshot_over_a_missing_or_damaged_layer_is_not_made(
    snapshotter: ErofsSnapshotter, tmp_path: Path
) -> None:
    layer = apply(snapshotter, tmp_path, pack(file(b"a", b"x")))
    with pytest.raises(NotFound):
        snapshotter.prepare("k", [layer, Digest.of(b"other")])
    (tmp_path / "root/layers/erofs" / layer.encoded / "data").unlink()
    with pytest.raises(Corrupt, match="lacks"):
        snapshotter.prepare("k", [layer])
    assert list(snapshotter.walk()) == []


def test_relative_root_gives_absolute_mounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    snapshotter = ErofsSnapshotter(Path("root"))
    layer = apply(snapshotter, tmp_path, pack(file(b"a", b"x")))
    for mount in snapshotter.prepare("k", [layer]):
        assert str(tmp_path) in " ".join(mount.options)
