from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from corten.content.blobs import BlobDirectory
from corten.errors import Corrupt, Invalid, NotFound
from corten.oci import media
from corten.oci.descriptor import Descriptor, describe
from corten.oci.digest import Digest
from corten.oci.manifest import build_index


@pytest.fixture
def blobs(tmp_path: Path) -> BlobDirectory:
    return BlobDirectory(tmp_path / "content")


def _partials(blobs: BlobDirectory) -> list[str]:
    return sorted(p.name for p in (blobs.path / "ingest").iterdir() if not p.name.endswith(".lock"))


def _age(file: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(file, (then, then))


def test_a_blob_lies_where_an_oci_layout_has_it(blobs: BlobDirectory) -> None:
    descriptor = blobs.put(b"content", media.OCI_CONFIG)
    assert descriptor == describe(b"content", media.OCI_CONFIG)
    file = blobs.path / "blobs" / "sha256" / descriptor.digest.encoded
    assert file.read_bytes() == b"content"
    assert blobs.locate(descriptor.digest) == file
    assert blobs.size(descriptor.digest) == 7
    assert _partials(blobs) == []


def test_sha512_blobs_are_verified_by_sha512(blobs: BlobDirectory) -> None:
    wanted = describe(b"content", media.OCTET_STREAM, "sha512")
    with blobs.ingest(wanted) as ingest:
        ingest.write(b"content")
        assert ingest.commit() == wanted
    with pytest.raises(Corrupt), blobs.ingest(wanted) as ingest:
        ingest.write(b"cOntent")
        ingest.commit()
    assert blobs.has(wanted)


def test_an_anonymous_ingest_can_be_committed_by_another_algorithm(blobs: BlobDirectory) -> None:
    with blobs.ingest() as ingest:
        ingest.write(b"con")
        ingest.write(b"tent")
        found = ingest.commit(Digest.of(b"content", "sha512"))
    assert found.digest.algorithm == "sha512"
    assert blobs.has(found)


def test_a_digest_that_cannot_be_computed_is_refused(blobs: BlobDirectory) -> None:
    unknown = Descriptor(media_type="x", digest=Digest("md5:abc"), size=1)
    with pytest.raises(Invalid, match="md5"):
        blobs.ingest(unknown)
    assert not blobs.has(unknown)
    with pytest.raises(NotFound):
        blobs.open(unknown.digest)


def test_a_digest_longer_than_a_file_name_is_just_not_there(blobs: BlobDirectory) -> None:
    digest = Digest("other:" + "a" * 500)
    assert blobs.size_or_none(digest) is None
    assert not blobs.touch(digest)
    with pytest.raises(NotFound):
        blobs.open(digest)


def test_a_partial_of_a_known_digest_is_kept_and_continued(blobs: BlobDirectory) -> None:
    wanted = describe(b"0123456789", media.OCTET_STREAM)
    with blobs.ingest(wanted) as ingest:
        ingest.write(b"01234")
    assert _partials(blobs) == [f"sha256-{wanted.digest.encoded}.part"]
    with blobs.ingest(wanted) as ingest:
        assert ingest.offset == 5
        ingest.write(b"56789")
        ingest.commit()
    assert _partials(blobs) == []
    assert blobs.has(wanted)


def test_an_anonymous_ingest_without_commit_leaves_nothing(blobs: BlobDirectory) -> None:
    with blobs.ingest() as ingest:
        ingest.write(b"01234")
        assert len(_partials(blobs)) == 1
    assert _partials(blobs) == []


def test_an_ingest_that_wrote_nothing_leaves_nothing(blobs: BlobDirectory) -> None:
    with blobs.ingest(describe(b"x", media.OCTET_STREAM)):
        pass
    assert _partials(blobs) == []


def test_abort_can_discard_a_partial(blobs: BlobDirectory) -> None:
    ingest = blobs.ingest(describe(b"0123", media.OCTET_STREAM))
    ingest.write(b"01")
    ingest.abort()
    ingest.abort()
    assert _partials(blobs) == []
    with pytest.raises(ValueError, match="over"):
        ingest.write(b"23")
    with pytest.raises(ValueError, match="over"):
        ingest.commit()


def test_a_second_writer_of_a_digest_gets_a_file_of_its_own(blobs: BlobDirectory) -> None:
    wanted = describe(b"0123", media.OCTET_STREAM)
    with blobs.ingest(wanted) as first:
        first.write(b"01")
        with blobs.ingest(wanted) as second:
            assert second.offset == 0
            second.write(b"0123")
            second.commit()
        assert blobs.has(wanted)
        first.write(b"23")
        first.commit()
    assert blobs.read(wanted.digest, 10) == b"0123"
    assert _partials(blobs) == []


def test_a_private_file_is_not_kept_for_resuming(blobs: BlobDirectory) -> None:
    wanted = describe(b"0123", media.OCTET_STREAM)
    with blobs.ingest(wanted) as first:
        first.write(b"01")
        with blobs.ingest(wanted) as second:
            second.write(b"012")
    with blobs.ingest(wanted) as third:
        assert third.offset == 2


def test_a_wrong_partial_costs_one_try(blobs: BlobDirectory) -> None:
    wanted = describe(b"0123", media.OCTET_STREAM)
    with blobs.ingest(wanted) as ingest:
        ingest.write(b"XX")
    with pytest.raises(Corrupt), blobs.ingest(wanted) as ingest:
        ingest.write(b"23")
        ingest.commit()
    with blobs.ingest(wanted) as ingest:
        assert ingest.offset == 0


def test_a_partial_that_is_too_long_is_dropped(blobs: BlobDirectory) -> None:
    wanted = describe(b"0123", media.OCTET_STREAM)
    blobs.prepare()
    (blobs.path / "ingest" / f"sha256-{wanted.digest.encoded}.part").write_bytes(b"too long")
    with blobs.ingest(wanted) as ingest:
        assert ingest.offset == 0


def test_too_many_bytes_are_refused_at_once_and_nothing_stays(blobs: BlobDirectory) -> None:
    wanted = describe(b"0123", media.OCTET_STREAM)
    with blobs.ingest(wanted) as ingest:
        ingest.write(b"0123")
        with pytest.raises(Corrupt, match="longer than its 4 bytes"):
            ingest.write(b"4")
    assert _partials(blobs) == []
    assert not blobs.has(wanted)


def test_a_link_in_place_of_a_blob_is_not_followed(blobs: BlobDirectory, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"not yours")
    blobs.prepare()
    digest = Digest.of(b"whatever")
    blobs.file(digest).symlink_to(secret)
    with pytest.raises(NotFound):
        blobs.open(digest)
    assert blobs.size_or_none(digest) is None
    assert list(blobs.walk()) == []


def test_a_directory_in_place_of_a_blob_is_no_blob(blobs: BlobDirectory) -> None:
    blobs.prepare()
    digest = Digest.of(b"whatever")
    blobs.file(digest).mkdir()
    with pytest.raises(NotFound):
        blobs.open(digest)


def test_an_offset_behind_the_end_is_refused(blobs: BlobDirectory) -> None:
    digest = blobs.put(b"0123").digest
    with pytest.raises(Invalid):
        blobs.open(digest, 5)
    with blobs.open(digest, 4) as file:
        assert file.read(1) == b""


def test_small_blobs_are_read_within_a_limit(blobs: BlobDirectory) -> None:
    digest = blobs.put(b"0123").digest
    assert blobs.read(digest, 4) == b"0123"
    with pytest.raises(Invalid, match="limit of 3"):
        blobs.read(digest, 3)


def test_walk_finds_blobs_and_nothing_else(blobs: BlobDirectory) -> None:
    assert list(blobs.walk()) == []
    put = {blobs.put(data).digest for data in (b"a", b"b")}
    (blobs.path / "blobs" / "sha256" / "README").write_text("not a blob")
    (blobs.path / "blobs" / "stray").write_text("not a blob")
    assert {d.digest for d in blobs.walk()} == put


def test_delete_removes_a_blob(blobs: BlobDirectory) -> None:
    digest = blobs.put(b"0123").digest
    assert blobs.delete(digest) == 4
    with pytest.raises(NotFound):
        blobs.delete(digest)


def test_sweep_spares_what_was_used_since(blobs: BlobDirectory) -> None:
    old, used = blobs.put(b"old").digest, blobs.put(b"used").digest
    for digest in (old, used):
        _age(blobs.file(digest), 1000)
    assert blobs.touch(used)
    limit = time.time() - 500
    assert blobs.sweep(used, limit) is None
    assert blobs.sweep(old, limit) == 3
    assert blobs.sweep(old, limit) is None
    assert not blobs.touch(old)


def test_what_was_touched_after_a_moment_is_spared_however_short_before_it_came(
    blobs: BlobDirectory,
) -> None:
    for number in range(50):
        digest = blobs.put(b"%d" % number).digest
        moment = time.time()
        assert blobs.touch(digest)
        assert blobs.sweep(digest, moment) is None


def test_what_came_before_a_moment_is_swept_however_short(blobs: BlobDirectory) -> None:
    for number in range(50):
        digest = blobs.put(b"%d" % number).digest
        assert blobs.sweep(digest, time.time()) is not None


def test_stale_partials_go_unless_somebody_writes_them(blobs: BlobDirectory) -> None:
    stale, busy = (describe(data, media.OCTET_STREAM) for data in (b"stale", b"busy."))
    with blobs.ingest(stale) as ingest:
        ingest.write(b"sta")
    with blobs.ingest(busy) as held:
        held.write(b"bus")
        for partial in (blobs.path / "ingest").glob("*.part"):
            _age(partial, 1000)
        assert blobs.sweep_partials(time.time() - 500) == (1, 3)
        held.write(b"y.")
        held.commit()
    assert blobs.has(busy)
    assert _partials(blobs) == []


def test_fresh_partials_stay(blobs: BlobDirectory) -> None:
    assert blobs.sweep_partials(time.time()) == (0, 0)
    with blobs.ingest(describe(b"fresh", media.OCTET_STREAM)) as ingest:
        ingest.write(b"fre")
    assert blobs.sweep_partials(time.time() - 500) == (0, 0)


def test_a_documents_media_type_is_found_by_reading_it(blobs: BlobDirectory) -> None:
    index = blobs.put(build_index([])[1]).digest
    other = blobs.put(b'{"some": "json"}').digest
    assert _media_type(blobs, index) == media.OCI_INDEX
    assert _media_type(blobs, other) == media.OCTET_STREAM
    assert _media_type(blobs, blobs.put(b"\x1f\x8b").digest) == media.OCTET_STREAM
    assert blobs.typed(Digest.of(b"nothing")) is None


def _media_type(blobs: BlobDirectory, digest: Digest) -> str:
    found = blobs.typed(digest)
    assert found is not None
    return found.media_type


def test_put_of_the_same_content_writes_once(blobs: BlobDirectory) -> None:
    first = blobs.put(b"same")
    inode = blobs.file(first.digest).stat().st_ino
    assert blobs.put(b"same") == first
    assert blobs.file(first.digest).stat().st_ino == inode
