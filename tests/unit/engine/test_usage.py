"""What a root takes: every file once, and no more given back than is there."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.builder.cache import BuildCache, Saved
from corten.config.settings import Settings
from corten.engine.checking.check import check
from corten.engine.host import Host
from corten.engine.pruning import prune
from corten.engine.system import collect
from corten.engine.usage import Usage, disk_usage
from corten.events.job import Job
from corten.oci import media
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.runtime.containers import ContainerRecord
from corten.runtime.protocols import Process
from corten.snapshot.erofs import ErofsSnapshotter
from corten.snapshot.remains import write_snapshot_record
from support.contents import PlainImage, plain_image, put, tar_of

MIB = 1024 * 1024


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with Host(Settings(tmp_path, "overlay")) as made:
        yield made


def usage(host: Host) -> dict[str, Usage]:
    return {row.kind: row for row in disk_usage(host)}


def image(host: Host, name: str) -> PlainImage:
    """An image with a layer of a MiB."""
    made = plain_image(host.store, os.urandom(MIB))
    host.store.tag(f"registry.example/{name}:1", made.root)
    return made


def contain(host: Host, made: PlainImage) -> None:
    host.runtime.containers.create(
        ContainerRecord(
            id="c" * 64,
            name="one",
            process=Process(args=("true",)),
            image_id=str(made.config.digest),
            manifest=str(made.root.digest),
            snapshot="c" * 64,
        )
    )


def cache(host: Host, *names: str) -> None:
    """Remember a layer of a MiB for each of `names`."""
    with BuildCache(host.root / "cache") as known:
        for name in names:
            tar = put(host.store, tar_of(file=os.urandom(MIB)), media.OCI_LAYER)
            known.save([name], name, Saved(tar.digest, 1))


def test_an_empty_root_takes_nothing(host: Host) -> None:
    with BuildCache(host.root / "cache"):
        pass
    assert [row[1:] for row in disk_usage(host)] == [(0, 0, 0, 0)] * 4


def test_a_tar_and_the_drivers_hard_link_to_it_count_once(host: Host) -> None:
    layer = image(host, "a").layers[0].digest
    before = usage(host)["Images"].size
    tar = host.store.blobs.file(layer)
    ErofsSnapshotter(host.root).apply(layer, tar)
    assert tar.stat().st_nlink == 2
    grown = usage(host)["Images"].size - before
    assert 0 < grown < 64 * 1024  # the index, not the tar


def test_the_size_is_that_of_blocks_and_not_of_bytes(host: Host) -> None:
    made = image(host, "a")
    files = [host.store.blobs.file(d.digest) for d in (made.root, made.config, *made.layers)]
    assert usage(host)["Images"].size == sum(file.stat().st_blocks * 512 for file in files)


def test_without_containers_all_of_the_images_may_go(host: Host) -> None:
    image(host, "a")
    put(host.store, os.urandom(MIB))  # nothing names it
    row = usage(host)["Images"]
    assert (row.total, row.active) == (1, 0)
    assert row.reclaimable == row.size > 2 * MIB


def test_what_a_container_was_made_of_stays(host: Host) -> None:
    kept = image(host, "kept")
    contain(host, kept)
    image(host, "other")
    row = usage(host)["Images"]
    assert (row.total, row.active) == (2, 1)
    assert MIB < row.reclaimable < row.size - MIB


def test_the_cache_has_what_no_image_has(host: Host) -> None:
    cache(host, "x", "y")
    shared = image(host, "a").layers[0].digest
    with BuildCache(host.root / "cache") as known:
        known.save(["z"], "z", Saved(shared, 1))
    row = usage(host)["Build Cache"]
    assert (row.total, row.active) == (3, 1)
    assert 2 * MIB < row.size < 3 * MIB
    assert row.reclaimable == row.size
    assert usage(host)["Images"].size < 2 * MIB


def test_what_a_repair_set_aside_is_a_row_of_its_own(host: Host) -> None:
    made = image(host, "a")
    blob = host.store.blobs.file(made.layers[0].digest)
    blob.write_bytes(os.urandom(MIB))
    before = usage(host)["Images"].size
    assert not all(finding.repaired for finding in check(host, Job(), repair=True).findings)
    row = usage(host)["Damaged"]
    assert (row.total, row.active, row.reclaimable) == (1, 0, 0)
    assert MIB <= row.size < MIB + 64 * 1024
    assert usage(host)["Images"].size <= before - MIB


def test_volumes_are_nobodys_to_give_back(host: Host) -> None:
    data = host.root / "volumes" / "mine" / "data"
    data.mkdir(parents=True)
    (data / "file").write_bytes(os.urandom(MIB))
    row = usage(host)["Volumes"]
    assert (row.total, row.active, row.reclaimable) == (1, 0, 0)
    assert row.size >= MIB


def break_off(host: Host) -> Path:
    """A download of which a MiB came; where that lies."""
    digest = Digest.of(b"what did not come to its end")
    wanted = Descriptor(media_type=media.OCI_LAYER, digest=digest, size=2 * MIB)
    with host.store.ingest(wanted) as ingest:
        ingest.write(os.urandom(MIB))
    return host.root / "content" / "ingest" / f"sha256-{digest.encoded}.part"


def test_a_download_that_was_broken_off_is_shown_and_can_be_given_back(host: Host) -> None:
    partial = break_off(host)
    row = usage(host)["Partial Downloads"]
    assert (row.total, row.active) == (1, 0)
    assert row.size == row.reclaimable >= MIB
    kept = collect(host, grace=0)  # as rmi does
    assert (kept.size, kept.partial) == (0, row.size)
    assert partial.exists()
    prune(host, Job())
    assert not partial.exists()
    assert "Partial Downloads" not in usage(host)


def test_a_download_that_goes_on_is_not_given_back(host: Host) -> None:
    partial = break_off(host)
    with host.store.lease():
        prune(host, Job())  # a pull that tries again
    assert partial.exists()
    with partial.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        row = usage(host)["Partial Downloads"]
        assert (row.active, row.reclaimable) == (1, 0)
        assert prune(host, Job()).collected.partial == 0
    assert partial.exists()


def test_what_killed_commands_left_is_a_row_of_its_own_and_goes(host: Host) -> None:
    layer = image(host, "a").layers[0].digest
    ErofsSnapshotter(host.root).apply(layer, host.store.blobs.file(layer))
    before = usage(host)["Images"]
    draft = host.root / "layers" / "erofs" / ".new-dead"
    for path in (draft, host.root / "bootstrap-dead", host.root / "snapshots" / "build-dead"):
        path.mkdir(parents=True)
        (path / "file").write_bytes(os.urandom(MIB))
    (draft / "data").hardlink_to(host.store.blobs.file(layer))
    write_snapshot_record(host.root / "snapshots" / "build-dead", "overlay", [layer])
    row = usage(host)["Leftovers"]
    assert (row.total, row.active) == (3, 0)
    assert 3 * MIB <= row.size == row.reclaimable < 3 * MIB + 64 * 1024
    assert usage(host)["Images"] == before
    with host.store.lease():
        assert usage(host)["Leftovers"].total == 1  # whose lock tells that it is nobody's
    collect(host)
    assert "Leftovers" not in usage(host)


def test_a_prune_gives_back_what_was_called_reclaimable(host: Host) -> None:
    layer = image(host, "a").layers[0].digest
    tar = host.store.blobs.file(layer)
    ErofsSnapshotter(host.root).apply(layer, tar)
    data = host.root / "layers" / "erofs" / layer.encoded / "data"
    data.unlink()
    data.write_bytes(tar.read_bytes())  # as earlier versions left it: the same bytes twice
    other = image(host, "b").layers[0].digest
    ErofsSnapshotter(host.root).apply(other, host.store.blobs.file(other))
    break_off(host)
    wanted = sum(row.reclaimable for row in disk_usage(host))
    assert wanted > 4 * MIB
    assert abs(prune(host, Job(), everything=True).size - wanted) < 64 * 1024
    assert sum(row.size for row in disk_usage(host)) < 64 * 1024
