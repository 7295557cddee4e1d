"""One suite for everything that is a Source and a Sink."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.content.copy import copy
from corten.content.memory import MemoryStore
from corten.content.protocols import PIECE, ListsTags, Locates, Source, Streams
from corten.errors import Corrupt, NotFound
from corten.events.job import Job
from corten.oci import media
from corten.oci.descriptor import Descriptor, describe
from corten.oci.digest import Digest
from corten.oci.manifest import Index, Manifest, parse_document
from support.contents import AMD64, ARM64, index_of, plain_image, put, read_all
from support.source_sink import FACTORIES, End


@pytest.fixture(params=sorted(FACTORIES))
def end(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[End]:
    with FACTORIES[request.param](tmp_path) as made:
        yield made


@pytest.fixture
def open_end(end: End) -> End:
    """An end whose blobs can be read one by one."""
    if not end.readable:
        pytest.skip("an archive is read whole")
    return end


def _manifest(source: Source, descriptor: Descriptor) -> Manifest:
    document = parse_document(read_all(source, descriptor), descriptor.media_type)
    assert isinstance(document, Manifest)
    return document


def test_an_image_comes_out_as_it_went_in(end: End) -> None:
    origin = MemoryStore()
    image = plain_image(origin, b"a" * 3_000_000, b"second")
    copy(origin, end.sink, image.root, Job(), name=end.name)

    source = end.source()
    root = source.resolve(end.name)
    assert root.media_type in media.MANIFESTS
    if end.exact:
        assert (root.digest, root.size) == (image.root.digest, image.root.size)
    manifest = _manifest(source, root)
    assert manifest.config.digest == image.config.digest
    assert tuple(layer.digest for layer in manifest.layers) == tuple(
        layer.digest for layer in image.layers
    )
    for child in manifest.children:
        assert Digest.of(read_all(source, child)) == child.digest


def test_a_second_copy_moves_nothing_but_the_name(end: End) -> None:
    origin = MemoryStore()
    image = plain_image(origin, b"layer")
    copy(origin, end.sink, image.root, Job(), name=end.name)
    copy(origin, end.sink, image.root, Job(), name=end.name)
    assert all(end.sink.has(d) for d in (image.root, image.config, *image.layers))


def test_a_digest_resolves(end: End) -> None:
    image = plain_image(end.sink, b"x")
    end.sink.tag(end.name, image.root)
    source = end.source()
    root = source.resolve(end.name)
    assert source.resolve(str(root.digest)).digest == root.digest


def test_names_are_listed(end: End) -> None:
    end.sink.tag(end.name, plain_image(end.sink, b"x").root)
    source = end.source()
    if isinstance(source, ListsTags):
        assert list(source.tags()) == [end.name]


def test_an_unknown_name_is_not_found(end: End) -> None:
    end.sink.tag(end.name, plain_image(end.sink, b"x").root)
    source = end.source()
    for name in ("docker.io/example/other:1", f"sha256:{'0' * 64}"):
        with pytest.raises(NotFound):
            source.resolve(name if ":" in end.name else name.rpartition(":")[2])


def test_an_unknown_blob_is_not_found_before_open_returns(end: End) -> None:
    end.sink.tag(end.name, plain_image(end.sink, b"x").root)
    with pytest.raises(NotFound):
        end.source().open(describe(b"never stored", media.OCTET_STREAM))


def test_a_name_needs_content(end: End) -> None:
    with pytest.raises(NotFound):
        end.sink.tag(end.name, describe(b'{"schemaVersion":2}', media.OCI_MANIFEST))


def test_has_tells_a_blob_from_one_of_another_size(end: End) -> None:
    descriptor = put(end.sink, b"some bytes")
    assert end.sink.has(descriptor)
    assert not end.sink.has(describe(b"others", media.OCTET_STREAM))


def test_reading_begins_at_the_offset(open_end: End) -> None:
    data = bytes(range(256)) * 9000
    descriptor = put(open_end.sink, data)
    source = open_end.source()
    for offset in (0, 1, PIECE, len(data) - 1, len(data)):
        assert read_all(source, descriptor, offset) == data[offset:]


def test_an_empty_blob_is_a_blob(open_end: End) -> None:
    descriptor = put(open_end.sink, b"")
    assert open_end.sink.has(descriptor)
    assert read_all(open_end.source(), descriptor) == b""


def test_read_without_a_size_gives_the_rest(open_end: End) -> None:
    descriptor = put(open_end.sink, b"0123456789")
    with open_end.source().open(descriptor, 4) as reader:
        assert reader.read() == b"456789"
        assert reader.read(5) == b""


def test_commit_of_wrong_bytes_leaves_nothing(end: End) -> None:
    wanted = describe(b"right bytes", media.OCTET_STREAM)
    with pytest.raises(Corrupt), end.sink.ingest(wanted) as ingest:
        ingest.write(b"wrong bytes")
        ingest.commit()
    assert not end.sink.has(wanted)
    assert not end.sink.has(describe(b"wrong bytes", media.OCTET_STREAM))


def test_commit_of_too_few_bytes_leaves_nothing(end: End) -> None:
    wanted = describe(b"right bytes", media.OCTET_STREAM)
    with pytest.raises(Corrupt), end.sink.ingest(wanted) as ingest:
        ingest.write(b"right")
        ingest.commit()
    assert not end.sink.has(wanted)


def test_more_bytes_than_announced_are_refused(end: End) -> None:
    wanted = describe(b"right bytes", media.OCTET_STREAM)
    with pytest.raises(Corrupt), end.sink.ingest(wanted) as ingest:
        ingest.write(b"right bytes")
        ingest.write(b"!")
        ingest.commit()
    assert not end.sink.has(wanted)


def test_after_wrong_bytes_the_right_ones_are_taken(end: End) -> None:
    wanted = describe(b"right bytes", media.OCTET_STREAM)
    with pytest.raises(Corrupt), end.sink.ingest(wanted) as ingest:
        ingest.write(b"wrong bytes")
        ingest.commit()
    put(end.sink, b"right bytes")
    assert end.sink.has(wanted)


def test_an_ingest_without_commit_is_no_blob(end: End) -> None:
    wanted = describe(b"all of it", media.OCTET_STREAM)
    with end.sink.ingest(wanted) as ingest:
        ingest.write(b"all of it")
    assert not end.sink.has(wanted)
    put(end.sink, b"all of it")
    assert end.sink.has(wanted)


def test_a_digest_is_found_while_writing(end: End) -> None:
    with end.sink.ingest() as ingest:
        assert ingest.offset == 0
        assert ingest.write(b"unknown ") == 8
        assert ingest.write(bytearray(b"before")) == 6
        found = ingest.commit()
    assert (found.digest, found.size) == (Digest.of(b"unknown before"), 14)
    assert end.sink.has(found)


def test_what_was_found_must_be_what_is_expected(end: End) -> None:
    with pytest.raises(Corrupt), end.sink.ingest() as ingest:
        ingest.write(b"something")
        ingest.commit(Digest.of(b"something else"))
    assert not end.sink.has(describe(b"something", media.OCTET_STREAM))
    assert not end.sink.has(describe(b"something else", media.OCTET_STREAM))


def test_any_buffer_can_be_written_and_reused(end: End) -> None:
    data = bytearray(b"x" * 300_000)
    wanted = describe(bytes(data) + b"y" * 300_000, media.OCTET_STREAM)
    with end.sink.ingest(wanted) as ingest:
        ingest.write(memoryview(data))
        data[:] = b"y" * 300_000
        ingest.write(data)
        data[:] = b"z" * 300_000
        ingest.commit()
    assert end.sink.has(wanted)


def test_an_ingest_that_was_cut_off_goes_on(end: End) -> None:
    if not end.resumes:
        pytest.skip("begins anew")
    data = bytes(range(251)) * 20_000
    wanted = describe(data, media.OCTET_STREAM)
    with pytest.raises(ZeroDivisionError), end.sink.ingest(wanted) as ingest:
        ingest.write(data[:3_000_000])
        raise ZeroDivisionError
    with end.sink.ingest(wanted) as ingest:
        assert ingest.offset == 3_000_000
        ingest.write(data[ingest.offset :])
        ingest.commit()
    assert end.sink.has(wanted)


def test_several_threads_may_bring_the_same_blob(end: End) -> None:
    data = b"wanted by all" * 100_000
    errors: list[BaseException] = []
    barrier = threading.Barrier(4)

    def bring() -> None:
        try:
            barrier.wait()
            put(end.sink, data)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=bring) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert end.sink.has(describe(data, media.OCTET_STREAM))


def test_a_located_file_holds_exactly_the_blob(open_end: End) -> None:
    descriptor = put(open_end.sink, b"exactly this")
    source = open_end.source()
    if not isinstance(source, Locates):
        pytest.skip("has no files")
    assert source.locate(descriptor).read_bytes() == b"exactly this"
    with pytest.raises(NotFound):
        source.locate(describe(b"not there", media.OCTET_STREAM))


def test_a_name_can_move_on(end: End) -> None:
    if not end.readable:
        pytest.skip("an archive is written once")
    first, second = plain_image(end.sink, b"first"), plain_image(end.sink, b"second")
    end.sink.tag(end.name, first.root)
    end.sink.tag(end.name, second.root)
    assert end.source().resolve(end.name).digest == second.root.digest


def test_an_index_comes_with_the_chosen_children(open_end: End) -> None:
    if not open_end.sparse:
        pytest.skip("takes whole indexes only")
    origin = MemoryStore()
    amd, arm = plain_image(origin, b"amd"), plain_image(origin, b"arm", platform=ARM64)
    root = index_of(origin, (amd, AMD64), (arm, ARM64))
    copy(
        origin,
        open_end.sink,
        root,
        Job(),
        name=open_end.name,
        select=lambda index: [d for d in [index.select(AMD64)] if d],
    )
    source = open_end.source()
    document = parse_document(read_all(source, source.resolve(open_end.name)))
    assert isinstance(document, Index)
    assert len(document.manifests) == 2
    assert open_end.sink.has(amd.root)
    assert not open_end.sink.has(arm.root)


@pytest.mark.parametrize("size", [0, 1000, 3 * PIECE + 7])
def test_a_streamed_blob_is_taken_under_the_digest_that_commit_is_told(end: End, size: int) -> None:
    if not isinstance(end.sink, Streams):
        pytest.skip("has to know first what comes")
    data = bytes(range(251)) * (size // 251 + 1)
    descriptor = describe(data, media.OCTET_STREAM)
    with end.sink.stream() as ingest:
        for at in range(0, len(data), PIECE // 3):
            ingest.write(data[at : at + PIECE // 3])
        assert not end.sink.took(descriptor.digest)
        assert ingest.commit(descriptor.digest) == descriptor
    assert end.sink.took(descriptor.digest)
    assert end.sink.has(descriptor)
    assert read_all(end.source(), descriptor) == data


def test_a_streamed_blob_under_a_wrong_digest_is_refused(end: End) -> None:
    if not isinstance(end.sink, Streams):
        pytest.skip("has to know first what comes")
    wrong = describe(b"another", media.OCTET_STREAM)
    with pytest.raises(Corrupt), end.sink.stream() as ingest:
        ingest.write(b"this one")
        ingest.commit(wrong.digest)
    assert not end.sink.took(wrong.digest)
    assert not end.sink.has(wrong)
