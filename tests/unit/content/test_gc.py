from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from corten.content.gc import collect, live
from corten.content.local import LocalStore
from corten.errors import Corrupt
from corten.oci import media
from corten.oci.codec import canonical_json
from corten.oci.descriptor import Descriptor, describe
from corten.oci.digest import Digest
from corten.oci.image_config import ImageConfig, RootFS, encode_config
from corten.oci.manifest import build_manifest
from support.contents import AMD64, ARM64, PlainImage, index_of, plain_image, put, tar_of

NAME = "docker.io/library/thing:1"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    with LocalStore(tmp_path, AMD64) as made:
        yield made


def _age(store: LocalStore, seconds: float = 7200.0) -> None:
    """Let everything in the store have been used so long ago."""
    then = time.time() - seconds
    for descriptor in store.walk():
        os.utime(store.blobs.file(descriptor.digest), (then, then))


def _there(store: LocalStore, *descriptors: Descriptor) -> list[bool]:
    return [store.blobs.has(descriptor) for descriptor in descriptors]


def _parts(image: PlainImage) -> tuple[Descriptor, ...]:
    return (image.root, image.config, *image.layers)


def test_what_nothing_holds_goes_and_is_counted(store: LocalStore) -> None:
    kept, gone = plain_image(store, b"kept"), plain_image(store, b"gone")
    store.tag(NAME, kept.root)
    _age(store)
    done = collect(store)
    assert (done.blobs, done.size) == (3, sum(d.size for d in _parts(gone)))
    assert all(_there(store, *_parts(kept)))
    assert not any(_there(store, *_parts(gone)))
    assert done.live == {d.digest for d in _parts(kept)}


def test_a_first_list_of_names_that_was_never_finished_is_written_and_its_draft_goes(
    store: LocalStore,
) -> None:
    store.tag(NAME, plain_image(store, b"kept").root)
    (store.path / "index.json").rename(store.path / ".index.json.0123456789ab.tmp")
    collect(store)
    assert (store.path / "index.json").exists()
    assert not list(store.path.glob(".*.tmp"))


def test_what_was_in_use_a_moment_ago_is_spared_and_counted(store: LocalStore) -> None:
    kept, young = plain_image(store, b"kept"), plain_image(store, b"young")
    store.tag(NAME, kept.root)
    done = collect(store)
    assert (done.blobs, done.spared) == (0, sum(d.size for d in _parts(young)))
    done = collect(store, grace=-1)
    assert (done.blobs, done.spared) == (3, 0)


def test_applied_layers_go_before_their_tars_and_with_the_same_grace(store: LocalStore) -> None:
    kept, gone = plain_image(store, b"kept"), plain_image(store, b"gone")
    store.tag(NAME, kept.root)
    _age(store)
    asked: list[tuple[set[Digest], float, bool]] = []

    def prune(keep: Collection[Digest], before: float) -> int:
        asked.append((set(keep), before, all(_there(store, *_parts(gone)))))
        return 7

    begin = time.time()
    done = collect(store, grace=600, prune=prune)
    ((keep, before, whole),) = asked
    assert keep == {d.digest for d in _parts(kept)}
    assert begin - 600 <= before <= time.time() - 600
    assert whole
    assert (done.blobs, done.layers) == (3, 7)


def test_a_dangling_image_is_held_until_it_is_forgotten(store: LocalStore) -> None:
    image = plain_image(store, b"x")
    store.tag(NAME, image.root)
    store.untag(NAME)
    _age(store)
    assert collect(store).blobs == 0
    store.forget_image(image.config.digest)
    assert collect(store).blobs == 3


def test_the_tars_of_compressed_layers_are_held_by_the_configuration(store: LocalStore) -> None:
    tar = put(store, tar_of(file=b"content"), media.OCI_LAYER)
    layer = put(store, b"as if compressed", media.OCI_LAYER_GZIP)
    config = put(
        store, encode_config(ImageConfig("amd64", "linux", RootFS((tar.digest,)))), media.OCI_CONFIG
    )
    root, raw = build_manifest(config, [layer])
    put(store, raw, root.media_type)
    store.tag(NAME, root)
    _age(store)
    assert collect(store).blobs == 0


def test_the_compressed_form_of_a_live_tar_is_held(store: LocalStore) -> None:
    image = plain_image(store, b"x")
    compressed = put(store, b"as if compressed", media.OCI_LAYER_GZIP)
    store.remember("compressed/gzip", image.layers[0].digest, canonical_json(compressed).decode())
    store.tag(NAME, image.root)
    _age(store)
    assert collect(store).blobs == 0
    store.untag(NAME)
    store.forget_image(image.config.digest)
    assert collect(store).blobs == 4
    assert store.recall("compressed/gzip", image.layers[0].digest) is None


def test_callers_roots_hold_what_is_below_them(store: LocalStore) -> None:
    used, cached, gone = (plain_image(store, b) for b in (b"used", b"cached", b"gone"))
    _age(store)
    collect(store, [used.root.digest, cached.layers[0].digest])
    assert all(_there(store, *_parts(used)))
    assert _there(store, *_parts(cached)) == [False, False, True]
    assert not any(_there(store, *_parts(gone)))


def test_all_platforms_of_an_index_are_held(store: LocalStore) -> None:
    amd, arm = plain_image(store, b"amd"), plain_image(store, b"arm", platform=ARM64)
    store.tag(NAME, index_of(store, (amd, AMD64), (arm, ARM64)))
    _age(store)
    assert collect(store).blobs == 0


def test_what_was_used_just_now_stays_with_all_below_it(store: LocalStore) -> None:
    image = plain_image(store, b"x")
    _age(store)
    os.utime(store.blobs.file(image.root.digest))
    assert collect(store).blobs == 0
    assert collect(store, grace=-1).blobs == 3


def test_what_a_pull_asked_for_during_its_lease_stays(store: LocalStore) -> None:
    image = plain_image(store, b"x")
    _age(store)
    with LocalStore(store.root, AMD64) as other, other.lease():
        assert all(other.has(d) for d in _parts(image))
        assert collect(store, grace=-1).blobs == 0
    assert collect(store, grace=-1).blobs == 3


def test_what_is_used_under_a_lease_that_begins_while_collecting_stays(store: LocalStore) -> None:
    image = plain_image(store, b"x")
    _age(store)

    def roots() -> Iterator[Digest]:
        """Asked for when the leases were looked at: this one was not seen."""
        with LocalStore(store.root, AMD64) as other, other.lease():
            assert all(other.has(d) for d in _parts(image))
        yield from ()

    assert collect(store, roots(), grace=0).blobs == 0
    assert all(_there(store, *_parts(image)))


def test_two_collections_at_once_do_not_stumble_over_each_other(store: LocalStore) -> None:
    images = [plain_image(store, b"%d" % number) for number in range(60)]
    _age(store)
    together = threading.Barrier(3)

    def work() -> int:
        with LocalStore(store.root, AMD64) as other:
            together.wait(20)
            return collect(other).blobs

    with ThreadPoolExecutor(3) as pool:
        done = [each.result(60) for each in [pool.submit(work) for _ in range(3)]]
    assert sum(done) == sum(len(_parts(image)) for image in images)
    assert list(store.walk()) == []


def test_what_is_read_during_a_lease_stays(store: LocalStore) -> None:
    blob = put(store, b"x")
    _age(store)
    with store.lease():
        store.open(blob).close()
        assert collect(store, grace=0).blobs == 0
    _age(store)
    with store.lease():
        store.locate(blob)
        assert collect(store, grace=0).blobs == 0


def test_a_lease_does_not_hold_what_was_old_before_it(store: LocalStore) -> None:
    put(store, b"x")
    _age(store)
    with store.lease():
        assert collect(store).blobs == 1


def test_a_lease_whose_process_is_gone_holds_nothing(store: LocalStore) -> None:
    with store.lease() as lease:
        assert store.leases.oldest() is not None
    with store.catalog.change() as change:
        change.execute("INSERT INTO leases VALUES (?, 0, ?)", (lease, time.time() + 1000))
    assert store.leases.oldest() is None
    assert store.catalog.rows("SELECT * FROM leases") == []


def test_leases_end_with_their_block(store: LocalStore) -> None:
    with pytest.raises(ZeroDivisionError), store.lease(), store.lease():
        assert store.leases.held == 2
        raise ZeroDivisionError
    assert store.leases.held == 0
    assert store.leases.oldest() is None
    assert list((store.path / "ingest").glob("*.lease")) == []


def test_old_partials_go_and_fresh_ones_stay(store: LocalStore) -> None:
    old, fresh = (describe(b, media.OCTET_STREAM) for b in (b"old..", b"fresh"))
    for descriptor in (old, fresh):
        with store.ingest(descriptor) as ingest:
            ingest.write(b"123")
    partial = store.path / "ingest" / f"sha256-{old.digest.encoded}.part"
    os.utime(partial, (1, 1))
    done = collect(store)
    assert (done.partials, done.partials_size) == (1, 3)
    assert not partial.exists()


def test_hostile_documents_do_not_hurt(store: LocalStore) -> None:
    for raw in (
        b"{",
        b'{"rootfs": 5}',
        b'{"rootfs": {"diff_ids": ["../../etc/passwd"]}}',
        b'{"schemaVersion": 2, "config": {}, "layers": []}',
        b'{"a":' * 2000,
    ):
        put(store, raw, media.OCI_CONFIG)
    _age(store)
    roots = [d.digest for d in store.walk()]
    assert live(store, roots) == set(roots)
    assert collect(store).blobs == 5


def test_a_root_that_is_not_there_is_no_error(store: LocalStore) -> None:
    assert collect(store, [Digest.of(b"never here")]).blobs == 0


def test_a_damaged_manifest_lets_go_of_nothing(store: LocalStore) -> None:
    image = plain_image(store, b"x")
    store.tag(NAME, image.root)
    file = store.blobs.file(image.root.digest)
    file.chmod(0o644)
    file.write_bytes(file.read_bytes().replace(b'"layers"', b'"lavers"'))
    _age(store)
    with pytest.raises(Corrupt, match="damaged") as caught:
        collect(store)
    assert NAME in caught.value.message
    assert all(_there(store, *image.layers))
