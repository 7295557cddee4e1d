"""What the registry remembers."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.errors import Invalid, NotFound, Unavailable, Unsupported
from corten.oci import media
from corten.oci.digest import Digest
from corten.registry.database import Database, sqlite_url
from corten.registry.metadata import Metadata, NewManifest, Upload
from corten.wire.codes import Refused
from corten.wire.paging import Ask

BLOB = Digest.of(b"blob")
ALL = Ask(100, "")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "registry.db"


@pytest.fixture
def metadata(file: Path) -> Iterator[Metadata]:
    opened = Metadata(Database(sqlite_url(file)))
    try:
        yield opened
    finally:
        opened.close()


def new(raw: bytes = b"raw", needs: dict[Digest, int] | None = None, **fields: str) -> NewManifest:
    return NewManifest(
        digest=Digest.of(raw),
        media_type=media.OCI_MANIFEST,
        raw=raw,
        subject=Digest(fields["subject"]) if "subject" in fields else None,
        artifact_type=fields.get("artifact_type", ""),
        needs=needs or {},
    )


def test_a_manifest_is_found_by_tag_and_digest(metadata: Metadata) -> None:
    manifest = new(b"\x00\xffraw")
    metadata.put_manifest("a/b", manifest, ["v1", "v2"])
    for reference in ("v1", "v2", manifest.digest):
        found = metadata.manifest("a/b", reference)
        assert found is not None
        assert found == (manifest.digest, media.OCI_MANIFEST, 5, manifest.raw)
    assert metadata.manifest("a/b", "v3") is None
    assert metadata.manifest("a", manifest.digest) is None


def test_storing_again_changes_nothing_but_tags(metadata: Metadata) -> None:
    manifest = new()
    metadata.put_manifest("a", manifest, ["v1"])
    metadata.put_manifest("a", manifest, ["v2"])
    assert metadata.tags("a", ALL) == ["v1", "v2"]


def test_a_tag_moves(metadata: Metadata) -> None:
    metadata.put_manifest("a", new(b"one"), ["v1"])
    metadata.put_manifest("a", new(b"two"), ["v1"])
    found = metadata.manifest("a", "v1")
    assert found is not None
    assert found.raw == b"two"


def test_what_is_missing_refuses_the_manifest_and_leaves_nothing(metadata: Metadata) -> None:
    with pytest.raises(Refused) as caught:
        metadata.put_manifest("a", new(needs={BLOB: 4}), ["v1"])
    assert caught.value.code == "MANIFEST_BLOB_UNKNOWN"
    assert caught.value.detail == [{"digest": BLOB}]
    assert metadata.manifest("a", "v1") is None
    assert metadata.repositories(ALL) == []


def test_a_blob_of_another_repository_does_not_count(metadata: Metadata) -> None:
    metadata.link_blob("b", BLOB, 4)
    with pytest.raises(NotFound):
        metadata.put_manifest("a", new(needs={BLOB: 4}), [])


def test_a_blob_of_another_size_refuses_the_manifest(metadata: Metadata) -> None:
    metadata.link_blob("a", BLOB, 4)
    with pytest.raises(Invalid, match="4 bytes"):
        metadata.put_manifest("a", new(needs={BLOB: 5}), [])
    metadata.put_manifest("a", new(needs={BLOB: 4}), [])


def test_a_manifest_may_need_manifests(metadata: Metadata) -> None:
    child = new(b"child")
    metadata.put_manifest("a", child, [])
    metadata.put_manifest("a", new(b"index", needs={child.digest: 5}), ["v1"])
    assert metadata.manifest("a", "v1") is not None


def test_deleting(metadata: Metadata) -> None:
    manifest = new()
    metadata.put_manifest("a", manifest, ["v1", "v2"])
    assert metadata.delete_tag("a", "v1")
    assert not metadata.delete_tag("a", "v1")
    assert metadata.tags("a", ALL) == ["v2"]
    assert metadata.delete_manifest("a", manifest.digest)
    assert not metadata.delete_manifest("a", manifest.digest)
    assert metadata.tags("a", ALL) == []
    with pytest.raises(NotFound):
        metadata.delete_tag("x", "v1")
    with pytest.raises(NotFound):
        metadata.delete_manifest("x", manifest.digest)
    with pytest.raises(NotFound):
        metadata.unlink_blob("x", BLOB)


def test_blobs_belong_to_repositories(metadata: Metadata) -> None:
    metadata.link_blob("a", BLOB, 4)
    metadata.link_blob("a", BLOB, 4)
    assert metadata.blob("a", BLOB) == 4
    assert metadata.blob("b", BLOB) is None
    assert metadata.mount_blob("b", BLOB, "a")
    assert metadata.blob("b", BLOB) == 4
    assert not metadata.mount_blob("c", Digest.of(b"other"), "a")
    assert metadata.unlink_blob("a", BLOB)
    assert not metadata.unlink_blob("a", BLOB)
    assert metadata.blob("b", BLOB) == 4


def test_a_blob_that_a_manifest_names_stays(metadata: Metadata) -> None:
    metadata.link_blob("a", BLOB, 4)
    manifest = new(needs={BLOB: 4})
    metadata.put_manifest("a", manifest, [])
    with pytest.raises(Unsupported):
        metadata.unlink_blob("a", BLOB)
    metadata.delete_manifest("a", manifest.digest)
    assert metadata.unlink_blob("a", BLOB)


def test_lists_are_sorted_by_bytes_and_begin_after_last(metadata: Metadata) -> None:
    metadata.put_manifest("a", new(), ["b", "B", "a", "_", "1"])
    assert metadata.tags("a", ALL) == ["1", "B", "_", "a", "b"]
    assert metadata.tags("a", Ask(2, "B")) == ["_", "a"]
    assert metadata.tags("a", Ask(0, "")) == []
    for name in ("z", "b/c", "b"):
        metadata.link_blob(name, BLOB, 4)
    assert metadata.repositories(ALL) == ["a", "b", "b/c", "z"]
    assert metadata.repositories(Ask(1, "b")) == ["b/c"]
    with pytest.raises(NotFound):
        metadata.tags("nobody", ALL)


def test_referrers(metadata: Metadata) -> None:
    for number in range(5):
        kind = "even" if number % 2 == 0 else "odd"
        metadata.put_manifest("a", new(bytes([number]), subject=BLOB, artifact_type=kind), [])
    metadata.put_manifest("b", new(b"elsewhere", subject=BLOB), [])
    found = [row.digest for row, _ in metadata.referrers("a", BLOB, "", "")]
    assert found == sorted(Digest.of(bytes([number])) for number in range(5))
    assert {kind for _, kind in metadata.referrers("a", BLOB, "even", "")} == {"even"}
    rest = [row.digest for row, _ in metadata.referrers("a", BLOB, "", found[1])]
    assert rest == found[2:]
    rows = metadata.referrers("a", BLOB, "", "")
    next(rows)
    rows.close()
    assert list(metadata.referrers("nobody", BLOB, "", "")) == []


def test_uploads(metadata: Metadata) -> None:
    upload = Upload("id-1", "a", "sha256")
    metadata.start_upload(upload)
    assert metadata.upload("a", "id-1") == upload
    assert metadata.upload("b", "id-1") is None
    assert metadata.stale_uploads(time.time() - 100) == []
    assert metadata.stale_uploads(time.time() + 100) == [upload]
    metadata.touch_upload("id-1")
    metadata.finish_upload(upload, BLOB, 4)
    assert metadata.upload("a", "id-1") is None
    assert metadata.blob("a", BLOB) == 4
    metadata.start_upload(upload)
    metadata.end_upload("id-1")
    assert metadata.upload("a", "id-1") is None


def test_what_was_written_is_there_for_the_next(metadata: Metadata, file: Path) -> None:
    metadata.put_manifest("a", new(), ["v1"])
    second = Metadata(Database(sqlite_url(file)))
    try:
        assert second.manifest("a", "v1") is not None
        second.put_manifest("a", new(b"two"), ["v1"])
    finally:
        second.close()
    found = metadata.manifest("a", "v1")
    assert found is not None
    assert found.raw == b"two"


def test_a_later_schema_is_refused(metadata: Metadata, file: Path) -> None:
    metadata.close()
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE facts SET value = '99' WHERE name = 'version'")
    connection.close()
    with pytest.raises(Unsupported, match="version 99"):
        Database(sqlite_url(file))


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    other.write_bytes(b"not a database, but long enough to look like something" * 100)
    with pytest.raises(Unavailable):
        Database(sqlite_url(other))


def test_many_threads_write_and_read(metadata: Metadata) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for count in range(10):
                metadata.put_manifest(
                    "a", new(f"{number}/{count}".encode()), [f"t{number}-{count}"]
                )
                assert metadata.manifest("a", f"t{number}-{count}") is not None
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(metadata.tags("a", ALL)) == 80


def test_commits_are_synced_and_readers_are_not_blocked(file: Path) -> None:
    database = Database(sqlite_url(file))
    try:
        with database.read() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        with database.write(), database.read() as reader:
            assert reader.exec_driver_sql("SELECT count(*) FROM tags").scalar() == 0
    finally:
        database.close()


def test_a_block_that_fails_is_undone(file: Path) -> None:
    database = Database(sqlite_url(file))
    try:
        with pytest.raises(ZeroDivisionError), database.write() as connection:
            connection.exec_driver_sql("INSERT INTO facts VALUES ('x', 'y')")
            raise ZeroDivisionError
        with database.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM facts").scalar() == 1
    finally:
        database.close()
