"""A check: every kind of damage that needs no root to make is found, named, and mended or not."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from corten.builder.cache import BuildCache, Saved
from corten.config.settings import Settings
from corten.content.copy import copy
from corten.content.memory import MemoryStore
from corten.engine.checking.check import check
from corten.engine.checking.finding import Finding
from corten.engine.host import Host
from corten.engine.system import collect
from corten.errors import Cancelled, Conflict
from corten.events.job import Job
from corten.events.model import Event, Finished, Progress, Started
from corten.image.assemble import assemble
from corten.image.compress import compressed
from corten.image.view import load_image
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.runtime.containers import ContainerRecord
from corten.runtime.protocols import Process
from corten.snapshot.erofs import ErofsSnapshotter
from corten.snapshot.remains import write_snapshot_record
from corten.snapshot.unpacking import UnpackingSink
from support.images import SmallImage, small_image

NAME = "registry.example/app:1"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with Host(Settings(tmp_path / "root", "erofs")) as made:
        yield made


@pytest.fixture
def image() -> SmallImage:
    """Its layers are compressed otherwise than here: they cannot be made again from their tars."""
    return small_image(b"one" * 5000, b"two" * 5000)


@pytest.fixture
def pulled(host: Host, image: SmallImage) -> SmallImage:
    """The image, come in as a pull brings it."""
    fetch(host, image)
    return image


def fetch(host: Host, image: SmallImage) -> None:
    source = MemoryStore()
    image.push(source, NAME)
    copy(source, UnpackingSink(host.store, ErofsSnapshotter(host.root)), image.root, Job())
    host.store.tag(NAME, image.root)
    config = image.blobs[-2][0].digest
    host.store.add_repo_digest("registry.example/app", image.root.digest, config)


def found(host: Host, *, repair: bool = False, deep: bool = False) -> list[Finding]:
    return list(check(host, Job(), repair=repair, deep=deep).findings)


def flip(path: Path, at: int = 700) -> None:
    """Change one byte, in place: every hard link sees it."""
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0xFF]))


def tar_of(host: Host, image: SmallImage, number: int = 0) -> Digest:
    known = host.store.recall("diff-id", image.blobs[number][0].digest)
    assert known is not None
    return Digest(known)


def whole(host: Host, digest: Digest) -> bool:
    path = host.store.blobs.file(digest)
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest.encoded


def content(root: Path) -> dict[str, tuple[int, bytes]]:
    """All files with their times and bytes, but for what SQLite keeps beside a database it reads."""
    return {
        str(path.relative_to(root)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in root.rglob("*")
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


def one(findings: list[Finding], kind: str) -> Finding:
    (wanted,) = [finding for finding in findings if finding.kind == kind]
    return wanted


def test_nothing_is_wrong_with_a_root_that_is_not_there(host: Host) -> None:
    report = check(host, Job())
    assert report.findings == ()
    assert (report.blobs, report.layers, report.containers) == (0, 0, 0)
    assert not host.root.exists()


def test_nothing_is_wrong_with_a_pulled_image(host: Host, pulled: SmallImage) -> None:
    report = check(host, Job(), deep=True)
    assert report.findings == ()
    assert (report.blobs, report.layers) == (6, 2)
    assert report.size == sum(status.st_size for _, status in host.store.blobs.scan())


def test_nothing_is_wrong_after_a_removal_and_a_collection(host: Host, pulled: SmallImage) -> None:
    host.store.untag(NAME)
    host.store.forget_image(pulled.blobs[-2][0].digest)
    collect(host, grace=0)
    assert found(host) == []


def test_a_check_changes_nothing_whatever_it_finds(host: Host, pulled: SmallImage) -> None:
    flip(host.store.blobs.file(tar_of(host, pulled)))
    (host.root / "content" / "index.json").unlink()
    (host.root / "layers" / "erofs" / ".new-dead").mkdir()
    before = content(host.root)
    assert len(found(host)) == 3
    assert content(host.root) == before


def test_a_damaged_tar_is_inflated_again_and_its_layer_made_anew(
    host: Host, pulled: SmallImage
) -> None:
    tar = tar_of(host, pulled)
    flip(host.store.blobs.file(tar))
    finding = one(found(host), "blob")
    assert str(tar) in finding.subject
    assert "(tar of registry.example/app:1)" in finding.subject
    assert finding.problem == "its content has another digest"
    assert finding.remedy == "corten system check --repair inflates it again"
    os.truncate(host.store.blobs.file(tar), 700)  # the driver's is the same file
    assert one(found(host), "layer").remedy.endswith("--repair makes it again from its tar")
    repaired = found(host, repair=True)
    assert [f.kind for f in repaired] == ["blob", "layer"]
    assert all(f.repaired for f in repaired)
    assert whole(host, tar)
    data = host.root / "layers" / "erofs" / tar.encoded / "data"
    assert data.samefile(host.store.blobs.file(tar))
    assert found(host) == []


def test_a_truncated_blob_is_told_by_its_length(host: Host, pulled: SmallImage) -> None:
    layer = pulled.blobs[0][0]
    os.truncate(host.store.blobs.file(layer.digest), 10)
    assert one(found(host), "blob").problem == f"it is 10 bytes long instead of {layer.size}"


def test_a_missing_tar_is_copied_back_from_its_layer(host: Host, pulled: SmallImage) -> None:
    tar = tar_of(host, pulled)
    host.store.blobs.file(tar).unlink()
    host.store.blobs.file(pulled.blobs[0][0].digest).unlink()
    assert [f.problem for f in found(host)] == ["it is missing"] * 2
    findings = found(host, repair=True)
    assert "copied from the applied layer" in [f.remedy for f in findings if f.repaired]
    assert whole(host, tar)


def test_a_compressed_blob_that_cannot_be_made_again_makes_room_for_a_pull(
    host: Host, pulled: SmallImage
) -> None:
    layer = pulled.blobs[0][0].digest
    flip(host.store.blobs.file(layer), 60)
    finding = one(found(host), "blob")
    assert "tries to compress it again; else corten pull registry.example/app:1" in finding.remedy
    left = one(found(host, repair=True), "blob")
    assert not left.repaired
    assert left.remedy.endswith("corten pull registry.example/app:1")
    assert (host.root / "damaged" / f"sha256-{layer.encoded}").is_file()
    assert one(found(host), "blob").problem == "it is missing"
    assert host.store.recall("diff-id", layer) is not None
    fetch(host, pulled)
    assert whole(host, layer)
    assert found(host) == []


def test_a_layer_that_many_images_share_is_a_line_that_can_be_read(
    host: Host, pulled: SmallImage
) -> None:
    for number in range(20):
        host.store.tag(f"docker.io/library/app{number:02}:1", pulled.root)
    layer = pulled.blobs[0][0].digest
    host.store.blobs.file(layer).unlink()
    host.store.blobs.file(tar_of(host, pulled)).unlink()
    (host.root / "layers" / "erofs" / tar_of(host, pulled).encoded / "data").unlink()
    names = "app00:1, app01:1, app02:1, app03:1, app04:1 and 16 more"
    findings = found(host)
    assert [f"{finding}".count(names) for finding in findings] == [1, 1, 1]
    assert {f.remedy for f in findings if f.kind == "blob"} == {f"corten pull {NAME}"}
    host.store.untag(NAME)
    assert {f.remedy for f in found(host) if f.kind == "blob"} == {
        "build, load or pull one of them again, or corten rmi them"
    }


def test_what_we_compressed_ourselves_is_compressed_again(host: Host, pulled: SmallImage) -> None:
    plain = image_of_tars(host, pulled)
    outgoing = compressed(host.store, plain, Job())
    layer = gzip_of(host, tar_of(host, pulled))
    host.store.tag("registry.example/mine:1", outgoing)
    flip(host.store.blobs.file(layer), 60)
    finding = one(found(host, repair=True), "blob")
    assert finding.repaired
    assert "compressed again from its tar" in finding.remedy
    assert whole(host, layer)


def image_of_tars(host: Host, image: SmallImage) -> Descriptor:
    """The same image over plain tars, whose compressed forms are not known yet."""
    loaded = load_image(host.store, image.root, host.platform)
    for diff_id in loaded.diff_ids:
        host.store.forget("compressed/gzip", diff_id)
    return assemble(host.store, loaded.config, loaded.document)


def gzip_of(host: Host, tar: Digest) -> Digest:
    fact = host.store.recall("compressed/gzip", tar)
    assert fact is not None
    return Digest(json.loads(fact)["digest"])


@pytest.mark.parametrize("number", [-1, -2], ids=["manifest", "configuration"])
def test_a_damaged_document_makes_room_for_a_pull(
    host: Host, pulled: SmallImage, number: int
) -> None:
    digest = pulled.blobs[number][0].digest
    flip(host.store.blobs.file(digest), 20)
    findings = found(host, repair=True)
    finding = one(findings, "blob")
    assert finding.remedy.endswith("corten pull registry.example/app:1")
    assert not host.store.blobs.file(digest).exists()
    fetch(host, pulled)
    assert found(host) == []


def test_a_damaged_blob_that_nothing_needs_is_deleted(host: Host, pulled: SmallImage) -> None:
    stray = host.store.blobs.put(b"nobody's")
    flip(host.store.blobs.file(stray.digest), 3)
    assert "nothing needs it" in one(found(host), "blob").remedy
    assert one(found(host, repair=True), "blob").repaired
    assert not host.store.blobs.file(stray.digest).exists()


@pytest.mark.parametrize("name", ["index", "data", "layer.json", "mnt"])
def test_an_applied_layer_that_lacks_something_is_made_again(
    host: Host, pulled: SmallImage, name: str
) -> None:
    layer = host.root / "layers" / "erofs" / tar_of(host, pulled).encoded
    if name == "mnt":
        (layer / name).rmdir()
    else:
        (layer / name).unlink()
    assert one(found(host), "layer").remedy.endswith("makes it again from its tar")
    assert one(found(host, repair=True), "layer").repaired
    assert (layer / name).exists()
    assert found(host) == []


def test_a_damaged_index_and_a_damaged_record_are_found(host: Host, pulled: SmallImage) -> None:
    layers = host.root / "layers" / "erofs"
    flip(layers / tar_of(host, pulled, 0).encoded / "index", 1100)
    (layers / tar_of(host, pulled, 1).encoded / "layer.json").write_text("{")
    problems = sorted(f.problem for f in found(host) if f.kind == "layer")
    assert problems[0] == "its index is damaged"
    assert problems[1].startswith("the record of layer ")
    assert all(f.repaired for f in found(host, repair=True))
    assert found(host) == []


def test_data_in_a_file_of_its_own_is_right_if_its_bytes_are(
    host: Host, pulled: SmallImage
) -> None:
    data = host.root / "layers" / "erofs" / tar_of(host, pulled).encoded / "data"
    shutil.copy(data, data.with_name("copy"))
    data.with_name("copy").replace(data)
    assert check(host, Job()).damage == ()
    flip(data)
    assert one(found(host), "layer").problem == "its data is not the tar's"


def test_a_tar_that_lies_there_twice_is_one_file_after_a_repair(
    host: Host, pulled: SmallImage
) -> None:
    layer = tar_of(host, pulled)
    data, tar = (
        host.root / "layers" / "erofs" / layer.encoded / "data",
        host.store.blobs.file(layer),
    )
    shutil.copy(data, data.with_name("copy"))
    data.with_name("copy").replace(data)
    assert "twice" in one(found(host), "copy").problem
    assert not data.samefile(tar)
    assert one(found(host, repair=True), "copy").repaired
    assert data.samefile(tar)
    assert found(host) == []


def test_a_deep_check_finds_an_index_that_is_not_the_tars(host: Host, pulled: SmallImage) -> None:
    layers = [
        host.root / "layers" / "erofs" / tar_of(host, pulled, number).encoded for number in (0, 1)
    ]
    for name in ("index", "layer.json"):
        shutil.copy(layers[1] / name, layers[0] / name)
    assert found(host) == []
    assert one(found(host, deep=True), "layer").problem == "its index is not the tar's"
    assert all(f.repaired for f in found(host, deep=True, repair=True))
    assert found(host, deep=True) == []


def test_a_record_that_is_not_the_tars_is_made_again(host: Host, pulled: SmallImage) -> None:
    path = host.root / "layers/erofs" / tar_of(host, pulled).encoded / "layer.json"
    right = path.read_bytes()
    path.write_bytes(right[:-1] + b',"links":[["ZXRjL21vdGQ=","ZXRjL3NoYWRvdw=="]]}')
    problem = one(found(host), "layer").problem
    assert problem == "its record is not the tar's (links)"
    assert one(found(host, repair=True), "layer").remedy == "made again from its tar"
    assert path.read_bytes() == right
    assert found(host) == []


def test_a_stale_index_json_is_written_again(host: Host, pulled: SmallImage) -> None:
    file = host.root / "content" / "index.json"
    right = file.read_bytes()
    file.write_text('{"schemaVersion":2,"manifests":[]}')
    assert one(found(host), "catalog").subject == "content/index.json"
    assert one(found(host, repair=True), "catalog").repaired
    assert file.read_bytes() == right


def test_facts_and_registry_digests_that_point_nowhere_are_forgotten(
    host: Host, pulled: SmallImage
) -> None:
    nowhere = Digest.of(b"nowhere")
    host.store.remember("diff-id", nowhere, str(nowhere))
    host.store.remember("compressed/gzip", tar_of(host, pulled), "not JSON")
    host.store.add_repo_digest("registry.example/gone", nowhere, nowhere)
    assert sorted(f.kind for f in found(host)) == ["fact", "image", "leftover"]
    assert all(f.repaired for f in found(host, repair=True))
    assert host.store.recall("diff-id", nowhere) is None
    assert found(host) == []


def test_a_wrong_size_in_the_catalog_is_corrected(host: Host, pulled: SmallImage) -> None:
    with host.store.catalog.change() as change:
        change.execute("UPDATE names SET size = 1")
    assert one(found(host), "name").subject == NAME
    assert all(f.repaired for f in found(host, repair=True))
    assert host.store.resolve(NAME).size == pulled.root.size
    assert found(host) == []


def test_a_nameless_image_without_its_manifest_is_forgotten(host: Host, pulled: SmallImage) -> None:
    host.store.untag(NAME)
    host.store.blobs.file(pulled.root.digest).unlink()
    findings = found(host, repair=True)
    assert one(findings, "image").remedy == "forgotten"


def damage_catalog(root: Path) -> None:
    """Overwrite the middle of the database, as a failing disk does."""
    catalog = root / "catalog.db"
    with closing(sqlite3.connect(catalog)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = catalog.stat().st_size
    with catalog.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))


@pytest.mark.parametrize("how", ["damaged", "missing", "no database"])
def test_a_catalog_is_made_anew_with_the_names_that_the_layout_has(
    host: Host, pulled: SmallImage, how: str
) -> None:
    host.close()
    if how == "damaged":
        damage_catalog(host.root)
    else:
        for path in host.root.glob("catalog.db*"):
            path.unlink()
        if how == "no database":
            (host.root / "catalog.db").write_bytes(b"nothing of SQLite" * 500)
    assert one(found(host), "catalog").subject == "catalog.db"
    findings = found(host, repair=True)
    assert all(f.repaired for f in findings), findings
    assert host.store.resolve(NAME).digest == pulled.root.digest
    assert host.store.recall("diff-id", pulled.blobs[0][0].digest) is not None
    assert found(host) == []


def test_a_damaged_catalog_is_not_replaced_under_a_living_command(
    host: Host, pulled: SmallImage
) -> None:
    with host.store.lease():
        damage_catalog(host.root)
        with pytest.raises(Conflict, match="other commands"):
            check(host, Job(), repair=True)
        for path in host.root.glob("catalog.db*"):  # for the lease's end
            if not path.name.endswith(".lock"):
                path.unlink()
        host.close()


def test_what_is_readable_of_a_damaged_catalog_is_kept(host: Host, pulled: SmallImage) -> None:
    host.close()
    with closing(sqlite3.connect(host.root / "catalog.db")) as db:
        page = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'facts'").fetchone()[0]
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with (host.root / "catalog.db").open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    assert one(found(host), "catalog").problem
    assert all(f.repaired for f in found(host, repair=True))
    config = pulled.blobs[-2][0].digest
    assert host.store.repo_digests(config) == (f"registry.example/app@{pulled.root.digest}",)
    assert found(host) == []


def test_a_build_cache_forgets_results_that_are_gone(host: Host, pulled: SmallImage) -> None:
    gone = Digest.of(b"gone")
    with BuildCache(host.root / "cache") as cache:
        cache.save(["a"], "family", Saved(gone, 1))
        cache.save(["b"], "family", Saved(tar_of(host, pulled), 1))
    assert one(found(host), "cache").subject == gone
    assert all(f.repaired for f in found(host, repair=True))
    with BuildCache(host.root / "cache") as cache:
        assert cache.load("a") is None
        assert cache.load("b") is not None


def test_a_damaged_build_cache_is_removed(host: Host, pulled: SmallImage) -> None:
    (host.root / "cache").mkdir()
    (host.root / "cache" / "build.db").write_bytes(b"nothing of SQLite" * 500)
    assert one(found(host), "cache").subject == "cache/build.db"
    assert all(f.repaired for f in found(host, repair=True))
    assert not (host.root / "cache" / "build.db").exists()


def test_leftovers_of_dead_commands_are_removed_and_a_living_ones_are_not(
    host: Host, pulled: SmallImage
) -> None:
    old = (1, 1)
    ingest = host.root / "content" / "ingest"
    dead = [
        host.root / "layers" / "erofs" / ".new-dead",
        host.root / "layers" / "erofs" / ".old-dead",
        host.root / "bootstrap-dead",
        host.root / "run" / "steps" / "dead",
    ]
    for path in dead:
        path.mkdir(parents=True)
    for name in ("dead.new", "dead.claim", "dead.lease"):
        dead.append(ingest / name)
        dead[-1].touch()
    os.utime(host.root / "bootstrap-dead", old)
    partial = ingest / f"sha256-{'0' * 64}.part"
    partial.touch()
    with host.store.ingest() as living:
        living.write(b"some bytes")
        wanted = {str(p.relative_to(host.root)) for p in dead[:-1]} | {"lease dead"}
        assert {f.subject for f in found(host)} == wanted
        assert all(f.repaired for f in found(host, repair=True))
        assert living.commit().size == 10
    assert not any(path.exists() for path in dead)
    assert partial.exists()
    os.utime(partial, old)
    assert one(found(host), "leftover").problem == "part of a blob that nobody went on with"


def test_a_dead_lease_in_the_catalog_is_removed(host: Host, pulled: SmallImage) -> None:
    with host.store.catalog.change() as change:
        change.execute("INSERT INTO leases VALUES ('dead', 1, 2)")
    assert one(found(host), "leftover").subject == "lease dead"
    found(host, repair=True)
    assert found(host) == []
    with host.store.lease():
        assert found(host) == []


def leave_behind(host: Host, image: SmallImage) -> set[str]:
    """What commands leave that were killed just now; the subjects of its findings."""
    ingest, gone = host.root / "content" / "ingest", Digest.of(b"gone")
    with host.store.catalog.change() as change:
        change.execute("INSERT INTO leases VALUES ('both', 1, 2), ('row', 1, 2)")
    for name in ("both.lease", "file.lease", "a.new", "a.claim"):
        (ingest / name).touch()
    snapshots = host.root / "snapshots"
    for path in (snapshots / "build-run-1", snapshots / ".new-1", host.root / "archive-1"):
        path.mkdir(parents=True)
    write_snapshot_record(snapshots / "build-run-1", "erofs", [tar_of(host, image)])
    stack = host.root / "stacks" / "erofs" / ("0" * 64)
    stack.mkdir(parents=True)
    host.store.remember("diff-id", gone, str(gone))
    names = host.root / "containers" / ".names"
    names.mkdir(parents=True)
    (names / "web").symlink_to("f" * 64)
    unfinished = host.root / "content" / ".index.json.1.tmp"
    unfinished.touch()
    os.utime(unfinished, (1, 1))
    return {
        "lease both", "lease row", "lease file",
        "content/ingest/a.new", "content/ingest/a.claim", "content/.index.json.1.tmp",
        "snapshots/build-run-1", "snapshots/.new-1", "archive-1",
        "stack erofs/000000000000", f"fact diff-id of {gone}", "container web",
    }  # fmt: skip


def test_what_killed_commands_left_is_no_damage_and_listed_once(
    host: Host, pulled: SmallImage
) -> None:
    wanted = leave_behind(host, pulled)
    report = check(host, Job())
    assert sorted(f.subject for f in report.findings) == sorted(wanted)
    assert {(f.kind, f.remedy) for f in report.findings} == {
        ("leftover", "the next corten gc removes it")
    }
    assert report.damage == ()
    assert all(f.repaired for f in found(host, repair=True))
    assert found(host) == []


def test_a_collection_removes_all_that_is_called_a_leftover(host: Host, pulled: SmallImage) -> None:
    leave_behind(host, pulled)
    collect(host)
    assert found(host) == []


def test_a_damaged_stack_is_removed(host: Host, pulled: SmallImage) -> None:
    stack = host.root / "stacks" / "erofs" / ("0" * 64)
    stack.mkdir(parents=True)
    (stack / "stack.json").write_text("{")
    assert one(found(host), "leftover").problem == "its record is missing or damaged"
    assert one(found(host, repair=True), "stack").repaired
    assert not stack.exists()


def test_progress_counts_every_byte_once(host: Host, pulled: SmallImage) -> None:
    events: list[Event] = []
    report = check(host, Job(events.append))
    last = [e for e in events if isinstance(e, Progress) and e.total == report.size][-1]
    assert last.current == report.size


def test_a_check_can_be_cancelled(host: Host, pulled: SmallImage) -> None:
    job = Job()
    job.cancel()
    with pytest.raises(Cancelled):
        check(host, job)


def at_the_end_of(kind: str, name: str, act: Callable[[], object]) -> Job:
    """A job that calls `act` when its first such step ends: another command, at the worst moment."""
    waiting: list[str] = []

    def emit(event: Event) -> None:
        if isinstance(event, Started) and (event.kind, event.name) == (kind, name):
            waiting.append(event.id)
        elif isinstance(event, Finished) and event.id in waiting:
            waiting.clear()
            act()

    return Job(emit)


@pytest.mark.parametrize("how", ["damaged", "missing"])
def test_a_repair_takes_nothing_away_that_a_pull_has_just_brought(
    host: Host, pulled: SmallImage, how: str
) -> None:
    layer, data = pulled.blobs[0]
    blob = host.store.blobs.file(layer.digest)
    if how == "damaged":
        flip(blob, 60)
    else:
        blob.unlink()

    def pull() -> None:
        fresh = blob.with_name("fresh")
        fresh.write_bytes(data)
        fresh.replace(blob)

    # What is missing is looked for after that, and then it is tried to make it again.
    moment = ("check", "blobs") if how == "damaged" else ("repair", str(layer.digest))
    findings = check(host, at_the_end_of(*moment, pull), repair=True).findings
    finding = one(list(findings), "blob")
    assert finding.repaired
    assert finding.remedy == "another command brought it meanwhile"
    assert whole(host, layer.digest)
    assert not (host.root / "damaged").exists()


def test_a_repair_deletes_nothing_that_a_pull_has_just_brought(
    host: Host, pulled: SmallImage
) -> None:
    stray = host.store.blobs.put(b"of a pull that has no name yet")
    blob = host.store.blobs.file(stray.digest)
    flip(blob, 3)

    def pull() -> None:
        fresh = blob.with_name("fresh")
        fresh.write_bytes(b"of a pull that has no name yet")
        fresh.replace(blob)

    assert check(host, at_the_end_of("check", "blobs", pull), repair=True).left == ()
    assert whole(host, stray.digest)


def test_a_layer_without_a_tar_is_moved_not_deleted(host: Host, pulled: SmallImage) -> None:
    """Its own file may be the last that has the bytes."""
    tar = tar_of(host, pulled)
    layer = host.root / "layers" / "erofs" / tar.encoded
    shutil.copy(layer / "data", layer / "copy")
    (layer / "copy").replace(layer / "data")
    flip(layer / "data")
    for digest in (tar, pulled.blobs[0][0].digest):
        host.store.blobs.file(digest).unlink()
    data = (layer / "data").read_bytes()
    finding = one(found(host, repair=True), "layer")
    assert not finding.repaired
    assert finding.remedy.endswith("corten pull registry.example/app:1")
    (aside,) = (host.root / "damaged").glob(f"layer-{tar.encoded}-*")
    assert (aside / "data").read_bytes() == data
    fetch(host, pulled)
    assert found(host) == []


def test_a_layer_without_a_tar_that_nothing_needs_goes(host: Host, pulled: SmallImage) -> None:
    nobodys = host.root / "layers" / "erofs" / ("0" * 64)
    nobodys.mkdir()
    (nobodys / "layer.json").write_text("{")
    finding = one(found(host, repair=True), "layer")
    assert (finding.repaired, finding.remedy) == (True, "removed: nothing needs it")
    assert not nobodys.exists()


def test_an_extracted_layer_is_left_to_the_build_that_may_be_running_on_it(
    host: Host, pulled: SmallImage
) -> None:
    tar = tar_of(host, pulled)
    layer = host.root / "layers" / "overlay" / tar.encoded
    layer.mkdir(parents=True)
    (layer / "layer.json").write_text("{")
    (layer / "fs").mkdir()
    snapshot = host.root / "snapshots" / "step"
    snapshot.mkdir(parents=True)
    write_snapshot_record(snapshot, "overlay", [tar])
    with host.store.lease():
        finding = one(found(host, repair=True), "layer")
        assert (finding.repaired, finding.remedy) == (
            False,
            "end the commands that are at work, then corten system check --repair",
        )
        assert (layer / "fs").is_dir()


def test_a_build_that_began_after_the_check_keeps_its_snapshot_and_scratch(
    host: Host, pulled: SmallImage
) -> None:
    snapshot, scratch = host.root / "snapshots" / "build-1", host.root / "archive-1"

    def build() -> None:
        other.enter_context(Host(host.settings).store.lease())
        for path in (snapshot, scratch):
            path.mkdir(parents=True)
        write_snapshot_record(snapshot, "erofs", [tar_of(host, pulled)])
        for path in (snapshot, scratch):  # hashing took long
            os.utime(path, (1, 1))

    with ExitStack() as other:
        report = check(host, at_the_end_of("check", "blobs", build), repair=True)
        assert report.findings == ()
        assert snapshot.is_dir()
        assert scratch.is_dir()
    assert len(found(host, repair=True)) == 2
    assert not snapshot.exists()


def test_a_container_that_was_renamed_during_the_check_gets_no_second_name(
    host: Host, pulled: SmallImage
) -> None:
    store = host.runtime.containers
    record = store.create(ContainerRecord(id="", name="before", process=Process(("true",))))
    job = at_the_end_of("check", "blobs", lambda: store.rename(record, "after"))
    check(host, job, repair=True)
    assert [path.name for path in (store.path / ".names").iterdir()] == ["after"]
