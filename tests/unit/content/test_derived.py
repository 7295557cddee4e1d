"""Blobs that can be made again are not waited for, and are looked at after a power cut."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from corten.content.gc import collect
from corten.content.local import LocalStore
from corten.errors import NotFound
from corten.image.assemble import assemble
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.oci.image_config import ImageConfig, RootFS
from corten.oci.manifest import build_index
from corten.system.settling import is_marked
from support.contents import put

MARK = "user.corten.unsettled"
TAR = b"a tar" * 1000
LOOKS = 8000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    with LocalStore(tmp_path) as opened:
        yield opened


def derived(store: LocalStore, data: bytes = TAR) -> Descriptor:
    with store.derive() as ingest:
        ingest.write(data)
        return ingest.commit()


def after_a_power_cut(store: LocalStore, blob: Descriptor, left: bytes | None = None) -> Path:
    """As if the machine had stopped since the blob was made, with `left` of it on disk."""
    file = store.locate(blob)
    if left is not None:
        file.write_bytes(left)
    os.setxattr(file, MARK, b"an earlier boot")
    return file


def test_a_derived_blob_is_a_blob_with_a_mark(store: LocalStore) -> None:
    blob = derived(store)
    assert is_marked(store.locate(blob))
    assert store.has(blob)
    with store.open(blob) as file:
        assert file.read() == TAR


def test_what_a_power_cut_left_whole_is_settled_when_it_is_asked_for(store: LocalStore) -> None:
    blob = derived(store)
    file = after_a_power_cut(store, blob)
    assert store.has(blob)
    assert not is_marked(file)


@pytest.mark.parametrize("left", [b"", TAR[:4096], TAR[:4096] + bytes(len(TAR) - 4096)])
def test_what_a_power_cut_spoilt_is_not_there(store: LocalStore, left: bytes) -> None:
    blob = derived(store)
    file = after_a_power_cut(store, blob, left)
    with pytest.raises(NotFound):
        store.open(blob)
    assert not file.exists()
    assert not store.has(blob)
    assert derived(store) == blob
    assert store.has(blob)


def test_a_spoilt_blob_is_not_located_either(store: LocalStore) -> None:
    blob = derived(store)
    after_a_power_cut(store, blob, b"")
    with pytest.raises(NotFound):
        store.locate(blob)


def test_deriving_again_keeps_the_file_that_is_there(store: LocalStore) -> None:
    blob = derived(store)
    before = store.locate(blob).stat().st_ino
    assert derived(store) == blob
    assert store.locate(blob).stat().st_ino == before


def test_deriving_again_replaces_what_was_cut_short(store: LocalStore) -> None:
    blob = derived(store)
    os.truncate(store.locate(blob), 100)
    assert derived(store) == blob
    assert store.locate(blob).read_bytes() == TAR


def test_deriving_again_replaces_what_nobody_can_vouch_for(store: LocalStore) -> None:
    blob = derived(store)
    file = after_a_power_cut(store, blob, b"")
    assert derived(store) == blob
    assert file.read_bytes() == TAR


def test_ingesting_a_blob_makes_it_durable_even_if_it_was_derived(store: LocalStore) -> None:
    blob = derived(store)
    with store.ingest(blob) as ingest:
        ingest.write(TAR)
        ingest.commit()
    assert not is_marked(store.locate(blob))


def test_a_blob_that_comes_again_stays_the_file_that_an_applied_layer_shares(
    store: LocalStore, tmp_path: Path
) -> None:
    with store.ingest() as ingest:
        ingest.write(TAR)
        blob = ingest.commit()
    (tmp_path / "data").hardlink_to(store.locate(blob))
    with store.ingest() as ingest:
        ingest.write(TAR)
        assert ingest.commit() == blob
    assert (tmp_path / "data").samefile(store.locate(blob))
    assert list((store.path / "ingest").glob("*.new")) == []


@pytest.mark.parametrize("damaged", [b"x" * len(TAR), TAR[:-1]])
def test_a_blob_that_comes_again_replaces_a_damaged_one(store: LocalStore, damaged: bytes) -> None:
    with store.ingest() as ingest:
        ingest.write(TAR)
        blob = ingest.commit()
    store.locate(blob).write_bytes(damaged)
    with store.ingest() as ingest:
        ingest.write(TAR)
        ingest.commit()
    assert store.locate(blob).read_bytes() == TAR


def test_a_blob_that_an_image_names_is_on_disk(store: LocalStore) -> None:
    # What it was derived from belongs to another image, which may be removed.
    layer = derived(store)
    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFS((Digest(layer.digest),)))
    image = assemble(store, config)
    assert is_marked(store.locate(layer))
    store.tag("localhost/built:1", image)
    assert not is_marked(store.locate(layer))


def test_no_image_is_named_whose_layer_a_power_cut_spoilt(store: LocalStore) -> None:
    layer = derived(store)
    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFS((Digest(layer.digest),)))
    image = assemble(store, config)
    after_a_power_cut(store, layer, bytes(len(TAR)))
    with pytest.raises(NotFound):
        store.tag("localhost/built:1", image)
    assert store.names() == ()


def test_what_is_put_again_replaces_what_a_power_cut_spoilt(store: LocalStore) -> None:
    after_a_power_cut(store, derived(store), bytes(len(TAR)))
    assert store.blobs.read(store.blobs.put(TAR).digest, len(TAR)) == TAR


def test_a_collection_reads_no_tar(store: LocalStore) -> None:
    # After a reboot it would read every layer that was ever pulled.
    layer = derived(store)
    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFS((Digest(layer.digest),)))
    store.tag("localhost/built:1", assemble(store, config))
    loose = derived(store, b"loose")
    files = [after_a_power_cut(store, blob) for blob in (layer, loose)]
    collect(store)
    assert all(map(is_marked, files))


def test_a_reader_never_gets_what_was_spoilt_while_another_replaces_it(store: LocalStore) -> None:
    blob = derived(store)
    with spoiling_and_mending(store.locate(blob)) as other:
        for _ in range(LOOKS):
            with suppress(NotFound), store.open(blob) as opened:
                assert opened.readall() == TAR
        assert other.poll() is None


@contextmanager
def spoiling_and_mending(file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process puts a spoilt blob in the place of a whole one and back, again and again."""
    program = (
        "import os, sys\n"
        "file, other, tar = sys.argv[1], sys.argv[1] + '.other', open(sys.argv[1], 'rb').read()\n"
        "while True:\n"
        "    for data in bytes(len(tar)), tar:\n"
        "        with open(other, 'wb') as made: made.write(data)\n"
        f"        if data != tar: os.setxattr(other, '{MARK}', b'an earlier boot')\n"
        "        os.replace(other, file)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(file)]) as process:
        try:
            yield process
        finally:
            process.kill()


def test_an_index_settles_what_its_images_name(store: LocalStore) -> None:
    layer = derived(store)
    config = ImageConfig(architecture="arm64", os="linux", rootfs=RootFS((Digest(layer.digest),)))
    index, raw = build_index([assemble(store, config)])
    root = put(store, raw, index.media_type)
    store.tag("localhost/index:1", root)
    assert not is_marked(store.locate(layer))


def test_other_blobs_carry_no_mark(store: LocalStore) -> None:
    blob = store.blobs.put(b"a manifest")
    assert not is_marked(store.locate(blob))
