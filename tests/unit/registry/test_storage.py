"""Uploads that become blobs."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from corten.errors import Corrupt, NotFound, Unavailable
from corten.oci.digest import Digest
from corten.registry.storage import BlobStorage, Incoming
from corten.system.writeback import STEP

DATA = os.urandom(2_500_000)
DIGEST = Digest.of(DATA)


@pytest.fixture
def storage(tmp_path: Path) -> BlobStorage:
    return BlobStorage(tmp_path)


def read(storage: BlobStorage, digest: Digest) -> bytes:
    with open(storage.open(digest), "rb") as file:
        return file.read()


def test_an_upload_becomes_a_blob(storage: BlobStorage, tmp_path: Path) -> None:
    incoming = storage.ingest("u1", "sha256")
    for start in range(0, len(DATA), 700_000):
        incoming.write(DATA[start : start + 700_000])
    assert incoming.offset == len(DATA)
    assert incoming.commit(DIGEST) == len(DATA)
    assert read(storage, DIGEST) == DATA
    assert list((tmp_path / "uploads").iterdir()) == []
    assert (tmp_path / "blobs" / "sha256" / DIGEST.encoded).stat().st_mode & 0o777 == 0o644


def test_an_upload_goes_on_after_it_was_suspended(storage: BlobStorage, tmp_path: Path) -> None:
    first = storage.ingest("u1", "sha256")
    first.write(DATA[:1_000_001])
    first.suspend()
    again = BlobStorage(tmp_path).ingest("u1", "sha256")
    assert again.offset == 1_000_001
    again.write(DATA[1_000_001:])
    again.commit(DIGEST)
    assert read(storage, DIGEST) == DATA


def test_wrong_bytes_are_no_blob(storage: BlobStorage, tmp_path: Path) -> None:
    incoming = storage.ingest("u1", "sha256")
    incoming.write(DATA[:-1])
    with pytest.raises(Corrupt):
        incoming.commit(DIGEST)
    with pytest.raises(NotFound):
        storage.open(DIGEST)
    incoming.abort()
    assert list((tmp_path / "uploads").iterdir()) == []


def test_another_algorithm_than_was_announced(storage: BlobStorage) -> None:
    incoming = storage.ingest("u1", "sha256")
    incoming.write(DATA)
    digest = Digest("sha512:" + hashlib.sha512(DATA).hexdigest())
    incoming.commit(digest)
    assert read(storage, digest) == DATA


def test_one_upload_is_open_once(storage: BlobStorage) -> None:
    incoming = storage.ingest("u1", "sha256")
    try:
        with pytest.raises(Unavailable, match="another process"):
            storage.ingest("u1", "sha256")
    finally:
        incoming.abort()
    storage.ingest("u1", "sha256").abort()


def test_an_empty_blob(storage: BlobStorage) -> None:
    storage.ingest("u1", "sha256").commit(Digest.of(b""))
    assert read(storage, Digest.of(b"")) == b""


def test_a_blob_that_is_there_may_come_again(storage: BlobStorage) -> None:
    for name in ("u1", "u2"):
        incoming = storage.ingest(name, "sha256")
        incoming.write(DATA)
        incoming.commit(DIGEST)
    assert read(storage, DIGEST) == DATA


def test_a_link_in_place_of_an_upload_is_not_followed(storage: BlobStorage, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "uploads" / "u1").symlink_to(victim)
    with pytest.raises(Unavailable):
        storage.ingest("u1", "sha256")
    assert victim.read_bytes() == b"precious"


def test_a_place_that_cannot_be_used_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(Unavailable):
        BlobStorage(tmp_path / "file")


def test_two_at_once_bring_the_same_blob(storage: BlobStorage) -> None:
    first, second = storage.ingest("u1", "sha256"), storage.ingest("u2", "sha256")
    for incoming in (first, second):
        incoming.write(DATA)
    first.commit(DIGEST)
    second.commit(DIGEST)
    assert read(storage, DIGEST) == DATA


def test_what_begins_to_write_a_large_upload_early_ends_with_it(storage: BlobStorage) -> None:
    piece = bytes(STEP)
    ends: tuple[Callable[[Incoming], object], ...] = (
        lambda incoming: incoming.commit(Digest.of(piece * 2)),
        lambda incoming: incoming.suspend(),
        lambda incoming: incoming.abort(),
    )
    for number, end in enumerate(ends):
        incoming = storage.ingest(f"u{number}", "sha256")
        incoming.write(piece)
        incoming.write(piece)
        end(incoming)
        assert not [t for t in threading.enumerate() if t.name == "corten-writeback"]
