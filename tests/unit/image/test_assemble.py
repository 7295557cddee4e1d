from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.content.local import LocalStore
from corten.errors import Invalid, NotFound
from corten.image.assemble import assemble
from corten.image.view import load_image
from corten.oci import media
from corten.oci.descriptor import describe
from corten.oci.digest import Digest
from corten.oci.image_config import ImageConfig, RootFS
from support.contents import AMD64, put, read_all, tar_of


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    with LocalStore(tmp_path / "root", AMD64) as made:
        yield made


def _config(*diff_ids: Digest) -> ImageConfig:
    return ImageConfig("amd64", "linux", RootFS(diff_ids))


def test_plain_tars_make_an_image(store: LocalStore) -> None:
    tar = put(store, tar_of(file=b"x"), media.OCI_LAYER)
    root = assemble(store, _config(tar.digest, tar.digest))
    image = load_image(store, root, AMD64)
    assert image.layers == (tar, tar)
    assert root.media_type == media.OCI_MANIFEST
    store.tag("docker.io/library/thing:1", root)


def test_the_same_arguments_give_the_same_image(store: LocalStore) -> None:
    tar = put(store, tar_of(file=b"x"), media.OCI_LAYER)
    assert assemble(store, _config(tar.digest)) == assemble(store, _config(tar.digest))


def test_unknown_fields_of_the_original_are_kept(store: LocalStore) -> None:
    root = assemble(store, _config(), {"moby.buildkit.trace": "kept", "os": "replaced"})
    document = json.loads(read_all(store, load_image(store, root, AMD64).manifest.config))
    assert document["moby.buildkit.trace"] == "kept"
    assert document["os"] == "linux"


def test_layers_can_be_given_as_other_blobs(store: LocalStore) -> None:
    layer = put(store, b"as if compressed", media.OCI_LAYER_GZIP)
    root = assemble(store, _config(Digest.of(b"its tar")), layers=[layer])
    assert load_image(store, root, AMD64).layers == (layer,)


def test_a_layer_that_is_not_there_is_not_found(store: LocalStore) -> None:
    with pytest.raises(NotFound):
        assemble(store, _config(Digest.of(b"nowhere")))
    with pytest.raises(NotFound):
        assemble(store, _config(Digest.of(b"x")), layers=[describe(b"x", media.OCI_LAYER)])
    assert list(store.walk()) == []


def test_layers_must_be_as_many_as_diff_ids(store: LocalStore) -> None:
    layer = put(store, b"x", media.OCI_LAYER_GZIP)
    with pytest.raises(Invalid):
        assemble(store, _config(), layers=[layer])
