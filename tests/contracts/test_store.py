"""What every Store does beyond being a Source and a Sink."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.content.local import LocalStore
from corten.content.memory import MemoryStore
from corten.content.protocols import Store
from corten.errors import Conflict, NotFound
from corten.oci import media
from corten.oci.descriptor import describe
from support.contents import AMD64, plain_image, put

NAME = "docker.io/library/thing:1"


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    with LocalStore(tmp_path, AMD64) as made:
        yield made


def test_walk_gives_every_blob(store: Store) -> None:
    assert list(store.walk()) == []
    image = plain_image(store, b"a", b"b")
    walked = {(d.digest, d.size) for d in store.walk()}
    assert walked == {(d.digest, d.size) for d in (image.root, image.config, *image.layers)}


def test_delete_forgets_a_blob(store: Store) -> None:
    blob = put(store, b"x")
    store.delete(blob)
    assert not store.has(blob)
    with pytest.raises(NotFound):
        store.open(blob)
    with pytest.raises(NotFound):
        store.delete(blob)


def test_what_has_a_name_is_not_deleted(store: Store) -> None:
    image = plain_image(store, b"a")
    store.tag(NAME, image.root)
    with pytest.raises(Conflict):
        store.delete(image.root)
    assert store.resolve(NAME) == image.root


def test_a_reader_outlives_the_deletion_of_its_blob(store: Store) -> None:
    blob = put(store, b"still here")
    with store.open(blob) as reader:
        store.delete(blob)
        assert reader.read() == b"still here"


def test_a_lease_is_a_block(store: Store) -> None:
    with store.lease() as lease:
        assert lease
        put(store, b"x")
    assert store.has(describe(b"x", media.OCTET_STREAM))
