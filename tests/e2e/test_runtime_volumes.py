"""Volumes and mounts of real containers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.errors import Conflict
from corten.runtime import lifecycle
from corten.runtime.failures import RuntimeFailed
from corten.runtime.protocols import Bind
from corten.runtime.volumes import VolumeStore, parse_tmpfs, parse_volume
from support.containers import World, needs_root, world

pytestmark = [pytest.mark.root, pytest.mark.e2e, needs_root]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def binds(here: World, *texts: str) -> tuple[Bind, ...]:
    wanted = [parse_volume(text, here.root) for text in texts]
    return VolumeStore(here.root).resolve(wanted)[0]


def test_a_host_directory_is_seen_and_written(here: World, tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "in").write_text("inside\n")
    mounted = binds(here, f"{tmp_path}/host:/mnt/deep/er:z", f"{tmp_path}/host:/read:ro")
    code, output = here.run(
        "sh", "-c", "cat /mnt/deep/er/in; touch /mnt/deep/er/out; touch /read/x", binds=mounted
    )
    assert code != 0
    assert output.startswith(b"inside\n")
    assert b"Read-only" in output
    assert (tmp_path / "host" / "out").exists()


def test_a_missing_host_directory_is_made(here: World, tmp_path: Path) -> None:
    code, _ = here.run("touch", "/v/x", binds=binds(here, f"{tmp_path}/new/dir:/v"))
    assert code == 0
    assert (tmp_path / "new" / "dir" / "x").exists()


def test_a_named_volume_gets_the_images_files_once_and_outlives_containers(here: World) -> None:
    mounted = binds(here, "store:/data")
    code, output = here.run("sh", "-c", "cat /data/seed; echo changed > /data/seed", binds=mounted)
    assert (code, output) == (0, b"from the image\n")
    assert here.run("cat", "/data/seed", binds=binds(here, "store:/data")) == (0, b"changed\n")
    assert list(VolumeStore(here.root).walk()) == ["store"]


def test_an_image_volume_is_fresh_and_goes_with_the_container(here: World) -> None:
    record = here.create("sh", "-c", "cat /data/seed; stat -c %a /data", volumes=["/data/"])
    volumes = VolumeStore(here.root)
    assert list(volumes.walk()) == list(record.anonymous)
    here.start(record)
    lifecycle.wait(here.runtime, record, 10)
    assert here.log(record).startswith(b"from the image\n")
    with pytest.raises(Conflict, match="in use"):
        volumes.remove(record.anonymous[0], record.binds)
    lifecycle.remove(here.runtime, record, here.snapshots)
    assert list(volumes.walk()) == list(record.anonymous)
    volumes.remove(record.anonymous[0])
    other = here.create("true", volumes=["/data"])
    here.remove(other)
    assert list(volumes.walk()) == []


def test_a_bind_over_an_image_volume_makes_no_volume(here: World, tmp_path: Path) -> None:
    record = here.create("true", volumes=["/data"], binds=(Bind("/data", str(tmp_path)),))
    assert record.anonymous == ()


def test_a_tmpfs_has_its_size_and_is_empty_again_after_a_restart(here: World) -> None:
    mounted = (parse_tmpfs("/scratch:size=64k,mode=700"),)
    command = "ls /scratch; stat -c %a /scratch; head -c 100000 /dev/zero > /scratch/x"
    record = here.create("sh", "-c", command, binds=mounted)
    for _ in range(2):
        here.start(record)
        assert lifecycle.wait(here.runtime, record, 10) != 0
    log = here.log(record)
    assert log.count(b"700\n") == 2
    assert log.count(b"head: standard output") == 2
    assert b"x\n" not in log


def test_a_link_in_the_image_cannot_lead_a_volume_out_of_it(here: World, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("host's own\n")
    # The container itself makes the link, as an image could have.
    record = here.create("sh", "-c", f"ln -s {secret} /evil; ls /evil/")
    here.start(record)
    lifecycle.wait(here.runtime, record, 10)
    volumes = VolumeStore(here.root)
    volumes.ensure("trap")
    import msgspec

    bind = Bind("/evil", str(volumes.directory("trap")))
    changed = msgspec.structs.replace(record, binds=(bind,))
    here.runtime.containers.update(changed)
    with_binds = here.runtime.containers.get(record.id)
    # Whether crun can mount there or not, nothing of the host's may have been copied.
    with contextlib.suppress(RuntimeFailed):
        here.start(with_binds)
        lifecycle.wait(here.runtime, with_binds, 10)
    assert not (volumes.directory("trap") / "key").exists()
    assert list(secret.iterdir()) == [secret / "key"]


def test_inner_mounts_lie_over_outer_ones(here: World, tmp_path: Path) -> None:
    for name in ("outer", "inner"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "which").write_text(f"{name}\n")
    (tmp_path / "outer" / "sub").mkdir()
    mounted = binds(here, f"{tmp_path}/inner:/m/sub", f"{tmp_path}/outer:/m")
    assert here.run("cat", "/m/which", "/m/sub/which", binds=mounted) == (0, b"outer\ninner\n")
