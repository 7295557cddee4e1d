from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.content.local import LocalStore
from corten.errors import Conflict, Invalid, NotFound
from corten.oci import media
from corten.oci.codec import canonical_json
from corten.oci.descriptor import describe
from corten.oci.digest import Digest
from corten.oci.manifest import build_index, build_manifest
from support.contents import AMD64, ARM64, index_of, plain_image, put

NAME = "docker.io/library/thing:1"
OTHER = "registry.example/a/thing:2"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    with LocalStore(tmp_path / "root", AMD64) as made:
        yield made


def _listed(store: LocalStore) -> dict[str, str]:
    index = json.loads((store.path / "index.json").read_bytes())
    key = "org.opencontainers.image.ref.name"
    return {m["annotations"][key]: m["digest"] for m in index["manifests"]}


def test_an_empty_store_has_nothing(store: LocalStore) -> None:
    assert store.names() == ()
    assert store.images() == []
    assert list(store.walk()) == []
    with pytest.raises(NotFound):
        store.resolve(NAME)
    assert not store.has(describe(b"x", media.OCTET_STREAM))


def test_tag_records_what_the_image_is(store: LocalStore) -> None:
    image = plain_image(store, b"a" * 5000, b"b", created="2024-05-06T07:08:09Z")
    store.tag(NAME, image.root)
    (record,) = store.images()
    assert record.descriptor == image.root
    assert record.image_id == image.config.digest
    assert record.created == "2024-05-06T07:08:09Z"
    assert record.size == sum(layer.size for layer in image.layers)
    assert record.names == (NAME,)
    assert record.added > 1_600_000_000


def test_an_image_can_have_several_names(store: LocalStore) -> None:
    image = plain_image(store, b"a")
    store.tag(OTHER, image.root)
    store.tag(NAME, image.root)
    assert store.names() == (NAME, OTHER)
    assert [record.names for record in store.images()] == [(NAME, OTHER)]


def test_rebuilding_a_name_leaves_the_old_image_dangling(store: LocalStore) -> None:
    old, new = plain_image(store, b"old"), plain_image(store, b"new")
    store.tag(NAME, old.root)
    store.tag(NAME, new.root)
    names = {record.image_id: record.names for record in store.images()}
    assert names == {old.config.digest: (), new.config.digest: (NAME,)}


def test_another_manifest_of_the_same_image_leaves_nothing_dangling(store: LocalStore) -> None:
    image = plain_image(store, b"a")
    root, raw = build_manifest(image.config, image.layers, annotations={"k": "v"})
    put(store, raw, root.media_type)
    store.tag(NAME, image.root)
    store.tag(NAME, root)
    assert [(r.descriptor, r.names) for r in store.images()] == [(root, (NAME,))]


def test_the_same_image_under_two_manifests_keeps_both_names(store: LocalStore) -> None:
    image = plain_image(store, b"a")
    root, raw = build_manifest(image.config, image.layers, annotations={"k": "v"})
    put(store, raw, root.media_type)
    store.tag(NAME, image.root)
    store.tag(OTHER, root)
    assert store.resolve(NAME) == image.root
    assert store.resolve(OTHER) == root
    assert len(store.find(image.config.digest)) == 2


def test_an_empty_name_keeps_a_dangling_image(store: LocalStore) -> None:
    image = plain_image(store, b"a")
    store.tag("", image.root)
    assert store.names() == ()
    assert [record.names for record in store.images()] == [()]


def test_untag_takes_only_the_name(store: LocalStore) -> None:
    image = plain_image(store, b"a")
    store.tag(NAME, image.root)
    assert store.untag(NAME) == image.root
    assert [record.names for record in store.images()] == [()]
    with pytest.raises(NotFound):
        store.untag(NAME)


def test_an_image_with_a_name_is_not_forgotten(store: LocalStore) -> None:
    image = plain_image(store, b"a")
    store.tag(NAME, image.root)
    with pytest.raises(Conflict, match=NAME):
        store.forget_image(image.config.digest)
    store.untag(NAME)
    store.forget_image(image.config.digest)
    assert store.images() == []
    with pytest.raises(NotFound):
        store.forget_image(image.config.digest)


def test_a_name_needs_all_children(store: LocalStore) -> None:
    config = put(store, canonical_json({"rootfs": {"diff_ids": []}}), media.OCI_CONFIG)
    layer = describe(b"not here", media.OCI_LAYER)
    root, raw = build_manifest(config, [layer])
    put(store, raw, root.media_type)
    with pytest.raises(NotFound, match=layer.digest):
        store.tag(NAME, root)
    assert store.names() == ()
    assert store.images() == []


def test_only_documents_have_names(store: LocalStore) -> None:
    with pytest.raises(Invalid):
        store.tag(NAME, put(store, b"a layer", media.OCI_LAYER))


def test_an_index_has_the_image_id_of_this_hosts_image(store: LocalStore) -> None:
    amd = plain_image(store, b"amd")
    arm = plain_image(store, b"arm", platform=ARM64)
    root = index_of(store, (arm, ARM64), (amd, AMD64))
    store.tag(NAME, root)
    (record,) = store.images()
    assert record.descriptor == root
    assert record.image_id == amd.config.digest


def test_an_index_without_this_platform_shows_a_child_that_is_here(store: LocalStore) -> None:
    arm = plain_image(store, b"arm", platform=ARM64)
    store.tag(NAME, index_of(store, (arm, ARM64)))
    assert store.images()[0].image_id == arm.config.digest


def test_an_index_without_any_child_here_gets_no_name(store: LocalStore) -> None:
    away = describe(b"{}", media.OCI_MANIFEST)
    root, raw = build_index([away])
    put(store, raw, root.media_type)
    with pytest.raises(NotFound):
        store.tag(NAME, root)


def test_an_artifact_can_have_a_name(store: LocalStore) -> None:
    config = put(store, b"{}", media.OCI_EMPTY)
    root, raw = build_manifest(config, [put(store, b"sbom", "application/spdx+json")])
    put(store, raw, root.media_type)
    store.tag(NAME, root)
    assert store.images()[0].image_id == config.digest


def test_digests_resolve_with_and_without_a_repository(store: LocalStore) -> None:
    image = plain_image(store, b"a")
    store.tag(NAME, image.root)
    digest = image.root.digest
    assert store.resolve(digest) == image.root
    assert store.resolve(f"docker.io/library/thing@{digest}") == image.root
    with pytest.raises(NotFound):
        store.resolve(f"docker.io/library/thing@sha256:{'0' * 64}")
    with pytest.raises(NotFound):
        store.resolve("docker.io/library/thing@nonsense")


def test_a_registrys_digest_stands_for_the_image(store: LocalStore) -> None:
    image = plain_image(store, b"a")
    store.tag(NAME, image.root)
    pushed = Digest.of(b"the compressed manifest")
    store.add_repo_digest("registry.example/a/thing", pushed, image.config.digest)
    assert store.resolve(f"registry.example/a/thing@{pushed}") == image.root
    assert store.repo_digests(image.config.digest) == (f"registry.example/a/thing@{pushed}",)
    with pytest.raises(NotFound):
        store.resolve(f"registry.example/another@{pushed}")


def test_what_is_known_of_a_registry_is_not_written_again(store: LocalStore) -> None:
    image = plain_image(store, b"a").config.digest
    log = store.root / "catalog.db-wal"

    def note(digest: Digest) -> int:
        store.add_repo_digest("registry.example/a/thing", digest, image)
        return log.stat().st_size

    before = note(image)
    assert note(image) == before
    assert note(Digest.of(b"another")) > before


def test_images_are_found_by_the_beginning_of_their_id(store: LocalStore) -> None:
    image = plain_image(store, b"a")
    store.tag(NAME, image.root)
    image_id = image.config.digest
    for text in (image_id, image_id.encoded, image_id.short, image_id.encoded[:2]):
        assert [record.image_id for record in store.find(text)] == [image_id]
    assert store.find(image_id.encoded[0]) == []
    assert store.find("zz") == []
    assert store.find("") == []
    assert store.find(image_id.encoded + "0") == []
    assert store.find("%%") == []


def test_index_json_follows_the_names(store: LocalStore) -> None:
    first, second = plain_image(store, b"1"), plain_image(store, b"2")
    store.tag(NAME, first.root)
    store.tag(OTHER, second.root)
    assert _listed(store) == {NAME: first.root.digest, OTHER: second.root.digest}
    store.untag(NAME)
    assert _listed(store) == {OTHER: second.root.digest}
    assert json.loads((store.path / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}


def test_facts_are_kept_replaced_and_forgotten(store: LocalStore) -> None:
    digest = Digest.of(b"layer")
    assert store.recall("diff-id", digest) is None
    store.remember("diff-id", digest, "one")
    store.remember("diff-id", digest, "two")
    store.remember("origin", digest, "registry.example/a")
    assert store.recall("diff-id", digest) == "two"
    store.forget("diff-id", digest)
    store.forget("diff-id", digest)
    assert store.recall("diff-id", digest) is None
    assert store.recall("origin", digest) == "registry.example/a"


def test_what_is_used_is_not_deleted(store: LocalStore) -> None:
    image = plain_image(store, b"a")
    stray = put(store, b"stray")
    store.tag(NAME, image.root)
    for descriptor in (image.root, image.config, image.layers[0]):
        with pytest.raises(Conflict):
            store.delete(descriptor)
    store.delete(stray)
    with pytest.raises(NotFound):
        store.delete(stray)


def test_names_survive_closing(tmp_path: Path) -> None:
    with LocalStore(tmp_path, AMD64) as store:
        image = plain_image(store, b"a")
        store.tag(NAME, image.root)
    with LocalStore(tmp_path, AMD64) as store:
        assert store.resolve(NAME) == image.root
        assert list(store.tags()) == [NAME]


def test_threads_and_two_stores_of_one_root_tag_at_once(tmp_path: Path) -> None:
    with LocalStore(tmp_path, AMD64) as one, LocalStore(tmp_path, AMD64) as two:
        image = plain_image(one, b"a")
        errors: list[BaseException] = []

        def tag(store: LocalStore, start: int) -> None:
            try:
                for number in range(start, start + 5):
                    store.tag(f"docker.io/library/thing:{number}", image.root)
            except BaseException as error:
                errors.append(error)

        threads = [
            threading.Thread(target=tag, args=(store, start))
            for store, start in ((one, 0), (one, 10), (two, 20), (two, 30))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert len(one.names()) == 20
        assert len(_listed(two)) == 20


def test_has_counts_as_use(store: LocalStore) -> None:
    import os

    descriptor = put(store, b"x")
    file = store.locate(descriptor)
    os.utime(file, (1, 1))
    assert store.has(descriptor)
    assert file.stat().st_mtime > 1


def test_a_blob_that_got_lost_is_said_how_to_find_out_about(store: LocalStore) -> None:
    image = plain_image(store, b"content")
    store.tag(NAME, image.root)
    layer = image.layers[0]
    store.blobs.file(layer.digest).unlink()
    for act in (
        lambda: store.open(layer),
        lambda: store.locate(layer),
        lambda: store.tag("registry.example/other:1", image.root),
    ):
        with pytest.raises(NotFound, match=str(layer.digest)) as caught:
            act()
        assert "corten system check" in caught.value.hint


def test_an_image_is_found_by_its_manifests_digest_as_well_as_by_its_id(store: LocalStore) -> None:
    image = plain_image(store, b"a")
    store.tag("", image.root)
    root = str.__str__(image.root.digest)
    for text in (root, root.removeprefix("sha256:"), root[7:19], str.__str__(image.config.digest)):
        assert [record.descriptor for record in store.find(text)] == [image.root]
    assert store.find("sha256:" + "0" * 64) == []
