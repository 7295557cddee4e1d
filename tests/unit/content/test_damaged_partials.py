"""What an earlier try left of a blob may have been damaged by a power cut: it costs nothing but time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.content.copy import copy
from corten.content.graph import write_document
from corten.content.layout import OCILayout
from corten.content.local import LocalStore
from corten.errors import Corrupt
from corten.events.job import Job
from corten.oci import media
from corten.oci.descriptor import Descriptor, describe
from support.contents import AMD64
from support.images import small_image


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    with LocalStore(tmp_path / "store", AMD64) as made:
        made.blobs.prepare()
        yield made


def damage(store: LocalStore, descriptor: Descriptor, size: int) -> None:
    """Leave a partial of zeros, as a file system may that lost the data but not the length."""
    name = f"sha256-{descriptor.digest.encoded}.part"
    (store.path / "ingest" / name).write_bytes(bytes(size))


@pytest.mark.parametrize("whole", [False, True], ids=["begun", "all there"])
def test_a_copy_begins_again_where_a_partial_is_damaged(
    store: LocalStore, tmp_path: Path, whole: bool
) -> None:
    image = small_image(b"some content " * 1000)
    layout = OCILayout(tmp_path / "layout")
    image.push(layout, "it")
    for descriptor, data in image.blobs:
        damage(store, descriptor, len(data) if whole else 10)
    copy(layout, store, image.root, Job())
    for descriptor, data in image.blobs:
        assert store.locate(descriptor).read_bytes() == data
    assert not list((store.path / "ingest").glob("*.part"))


def test_a_document_is_written_again_where_its_partial_is_damaged(store: LocalStore) -> None:
    raw = b'{"a": "document"}'
    descriptor = describe(raw, media.OCI_CONFIG)
    damage(store, descriptor, 5)
    write_document(store, descriptor, raw)
    assert store.locate(descriptor).read_bytes() == raw


def test_a_document_that_is_wrong_itself_is_corrupt(store: LocalStore) -> None:
    raw = b'{"a": "document"}'
    descriptor = describe(raw, media.OCI_CONFIG)
    with pytest.raises(Corrupt):
        write_document(store, descriptor, raw.replace(b"a", b"b"))
    damage(store, descriptor, 5)
    with pytest.raises(Corrupt):
        write_document(store, descriptor, raw.replace(b"a", b"b"))
    assert list(store.walk()) == []
