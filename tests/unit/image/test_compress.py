from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.content.local import LocalStore
from corten.errors import Cancelled
from corten.events.job import Job
from corten.events.model import Event, Finished, Progress, Started
from corten.image.compress import compressed
from corten.image.view import load_image
from corten.oci import media
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.oci.manifest import Index, build_index, parse_document
from corten.system.settling import MARK, is_marked
from support.contents import AMD64, ARM64, index_of, plain_image, put, read_all


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    with LocalStore(tmp_path / "root", AMD64) as made:
        yield made


def test_layers_become_gzip_and_the_image_stays_the_same(store: LocalStore) -> None:
    made = plain_image(store, b"a" * 2_000_000, b"b")
    root = compressed(store, made.root, Job())
    image = load_image(store, root, AMD64)
    assert image.id == made.config.digest
    for layer, plain in zip(image.layers, made.layers, strict=True):
        assert layer.media_type == media.OCI_LAYER_GZIP
        data = read_all(store, layer)
        assert Digest.of(data) == layer.digest
        assert Digest.of(gzip.decompress(data)) == plain.digest
        assert store.recall("diff-id", layer.digest) == plain.digest


def test_the_bytes_depend_on_the_tar_alone(store: LocalStore, tmp_path: Path) -> None:
    root = compressed(store, plain_image(store, b"a" * 2_000_000).root, Job())
    with LocalStore(tmp_path / "another", AMD64) as other:
        again = compressed(other, plain_image(other, b"a" * 2_000_000).root, Job())
    assert root == again


def test_it_is_done_once_and_remembered(store: LocalStore) -> None:
    made = plain_image(store, b"a", b"b")
    events: list[Event] = []
    first = compressed(store, made.root, Job(events.append))
    assert [e.status for e in events if isinstance(e, Finished)] == ["done", "done"]
    assert {e.kind for e in events if isinstance(e, Started)} == {"compress"}
    events.clear()
    assert compressed(store, made.root, Job(events.append)) == first
    assert [e.status for e in events if isinstance(e, Finished)] == ["cached", "cached"]


def test_what_is_remembered_but_gone_is_made_again(store: LocalStore) -> None:
    made = plain_image(store, b"a")
    root = compressed(store, made.root, Job())
    layer = load_image(store, root, AMD64).layers[0]
    store.blobs.delete(layer.digest)
    assert compressed(store, made.root, Job()) == root
    assert store.has(layer)


def test_a_damaged_fact_does_not_matter(store: LocalStore) -> None:
    made = plain_image(store, b"a")
    store.remember("compressed/gzip", made.layers[0].digest, "nonsense")
    assert load_image(store, compressed(store, made.root, Job()), AMD64).id == made.config.digest


def test_an_image_of_compressed_layers_is_left_alone(store: LocalStore) -> None:
    root = compressed(store, plain_image(store, b"a").root, Job())
    assert compressed(store, root, Job()) == root


def test_a_layer_that_occurs_twice_is_compressed_once(store: LocalStore) -> None:
    events: list[Event] = []
    made = plain_image(store, b"a", b"a")
    root = compressed(store, made.root, Job(events.append))
    assert len([e for e in events if isinstance(e, Started)]) == 1
    layers = load_image(store, root, AMD64).layers
    assert layers[0] == layers[1]


def test_an_index_keeps_what_it_says_of_its_children(store: LocalStore) -> None:
    amd, arm = plain_image(store, b"amd"), plain_image(store, b"arm", platform=ARM64)
    away = Descriptor(
        media_type=media.OCI_MANIFEST, digest=Digest.of(b"elsewhere"), size=9, platform=ARM64
    )
    here = index_of(store, (amd, AMD64), (arm, ARM64))
    document = parse_document(read_all(store, here))
    assert isinstance(document, Index)
    root, raw = build_index([*document.manifests, away])
    put(store, raw, root.media_type)
    changed = parse_document(read_all(store, compressed(store, root, Job())))
    assert isinstance(changed, Index)
    assert [child.platform for child in changed.manifests] == [AMD64, ARM64, ARM64]
    assert changed.manifests[2] == away
    for child, made in zip(changed.manifests, (amd, arm), strict=False):
        assert load_image(store, child, AMD64).id == made.config.digest
        assert child.digest != made.root.digest


def test_it_can_be_cancelled_and_leaves_nothing(store: LocalStore) -> None:
    made = plain_image(store, b"a" * 5_000_000)
    before = {d.digest for d in store.walk()}
    job: Job

    def emit(event: Event) -> None:
        if isinstance(event, Progress):
            job.cancel()

    job = Job(emit)
    with pytest.raises(Cancelled):
        compressed(store, made.root, job)
    assert {d.digest for d in store.walk()} == before
    assert list((store.path / "ingest").glob("*.new")) == []


def test_what_was_compressed_is_not_waited_for_and_made_again_if_a_power_cut_took_it(
    store: LocalStore,
) -> None:
    made = plain_image(store, b"a" * 2_000_000)
    root = compressed(store, made.root, Job())
    (layer,) = load_image(store, root, AMD64).layers
    file = store.locate(layer)
    assert is_marked(file)
    file.write_bytes(bytes(layer.size))
    os.setxattr(file, MARK, b"an earlier boot")
    assert compressed(store, made.root, Job()) == root
    assert Digest.of(read_all(store, layer)) == layer.digest
