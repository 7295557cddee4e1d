from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from corten.content.copy import copy
from corten.content.layout import OCILayout
from corten.content.memory import MemoryStore
from corten.content.protocols import Sink, Source
from corten.errors import Cancelled, Corrupt, CortenError, Invalid, NotFound, Unavailable
from corten.events.job import Job
from corten.events.model import Event, Finished, Progress, Started
from corten.oci import media
from corten.oci.descriptor import Descriptor, describe
from corten.oci.digest import Digest
from corten.oci.manifest import build_index, build_manifest
from support.contents import AMD64, ARM64, index_of, plain_image, put
from support.troubled import Flaky, Lying, Neighbour, Recording, Remembering


def _statuses(source: Source, sink: Sink, root: Descriptor, name: str = "") -> dict[str, str]:
    """The status that each blob's step ended with."""
    events: list[Event] = []
    copy(source, sink, root, Job(events.append), name=name)
    names = {e.id: e.name for e in events if isinstance(e, Started)}
    return {names[e.id]: e.status for e in events if isinstance(e, Finished)}


def test_children_become_visible_before_their_parents() -> None:
    source, sink = MemoryStore(), Recording()
    amd, arm = plain_image(source, b"amd"), plain_image(source, b"arm", platform=ARM64)
    root = index_of(source, (amd, AMD64), (arm, ARM64))
    copy(source, sink, root, Job(), name="n")
    order = {digest: at for at, digest in enumerate(sink.order)}
    for image in (amd, arm):
        for child in (image.config, *image.layers):
            assert order[child.digest] < order[image.root.digest] < order[root.digest]
    assert sink.resolve("n") == root


def test_an_index_that_lists_what_another_lists_comes_after_both() -> None:
    source, sink = MemoryStore(), Recording()
    image = plain_image(source, b"x")
    inner = index_of(source, (image, AMD64))
    outer, raw = build_index([inner, image.root])
    put(source, raw, outer.media_type)
    copy(source, sink, outer, Job())
    assert sink.order[-3:] == [image.root.digest, inner.digest, outer.digest]


def test_only_the_root_is_ingested_under_the_name() -> None:
    source, sink = MemoryStore(), Recording()
    image = plain_image(source, b"x")
    root = index_of(source, (image, AMD64))
    copy(source, sink, root, Job(), name="latest")
    assert sink.names_at_ingest == {root.digest: "latest"}


def test_what_is_there_is_skipped_and_said_to_be_cached() -> None:
    source, sink = MemoryStore(), MemoryStore()
    image = plain_image(source, b"one", b"two")
    put(sink, b"".join(source.open(image.layers[0])), media.OCI_LAYER)
    statuses = _statuses(source, sink, image.root)
    assert statuses[image.layers[0].digest] == "cached"
    assert statuses[image.layers[1].digest] == "done"
    assert statuses[image.root.digest] == "done"
    assert set(_statuses(source, sink, image.root).values()) == {"cached"}


def test_a_document_that_is_there_still_gets_its_name() -> None:
    source, sink = MemoryStore(), Recording()
    image = plain_image(source, b"x")
    copy(source, sink, image.root, Job())
    copy(source, sink, image.root, Job(), name="v2")
    assert sink.names_at_ingest == {image.root.digest: "v2"}
    assert sink.resolve("v2") == image.root


def test_progress_adds_up_to_the_size() -> None:
    source, events = MemoryStore(), []  # type: ignore[var-annotated]
    image = plain_image(source, b"x" * 5_000_000)
    copy(source, MemoryStore(), image.root, Job(events.append))
    step = next(e for e in events if isinstance(e, Started) and e.name == image.layers[0].digest)
    assert (step.kind, step.total) == ("copy", image.layers[0].size)
    reached = [e.current for e in events if isinstance(e, Progress) and e.id == step.id]
    assert reached == sorted(reached)
    assert reached[-1] == image.layers[0].size


def test_select_limits_the_children() -> None:
    source, sink = MemoryStore(), MemoryStore()
    amd, arm = plain_image(source, b"amd"), plain_image(source, b"arm", platform=ARM64)
    root = index_of(source, (amd, AMD64), (arm, ARM64))
    copy(source, sink, root, Job(), select=lambda index: index.manifests[1:])
    assert sink.has(arm.root)
    assert sink.has(root)
    assert not sink.has(amd.root)
    assert not sink.has(amd.layers[0])


def test_foreign_layers_are_left_out() -> None:
    source, sink = MemoryStore(), MemoryStore()
    config = put(source, b"{}", media.OCI_EMPTY)
    foreign = describe(b"licensed elsewhere", media.DOCKER_FOREIGN)
    root, raw = build_manifest(config, [foreign])
    put(source, raw, root.media_type)
    copy(source, sink, root, Job())
    assert sink.has(root)
    assert not sink.has(foreign)


def test_a_root_of_unknown_type_is_a_plain_blob() -> None:
    source, sink = MemoryStore(), MemoryStore()
    blob = put(source, b'{"manifests": "not really"}', "application/x-unknown")
    copy(source, sink, blob, Job())
    assert sink.has(blob)


def test_a_broken_connection_goes_on_where_it_was(tmp_path: Path) -> None:
    inner = MemoryStore()
    image = plain_image(inner, b"x" * 3_000_000)
    source = Flaky(inner, failures=1, before=1_500_000)
    sink = OCILayout(tmp_path)
    copy(source, sink, image.root, Job())
    layer = image.layers[0].digest
    assert [offset for digest, offset in source.opened if digest == layer] == [0, 1_500_000]
    assert sink.has(image.layers[0])


def test_what_stays_unavailable_is_given_up_and_says_where() -> None:
    inner = MemoryStore()
    blob = put(inner, b"x" * 10)
    source = Flaky(inner, failures=99)
    with pytest.raises(Unavailable) as caught:
        copy(source, MemoryStore(), blob, Job())
    assert caught.value.origin == "source"
    assert len(source.opened) == 5


def test_other_errors_are_not_tried_again() -> None:
    source = MemoryStore()
    config = put(source, b"{}", media.OCI_EMPTY)
    gone = describe(b"gone", media.OCI_LAYER)
    root, raw = build_manifest(config, [gone])
    put(source, raw, root.media_type)
    sink = MemoryStore()
    with pytest.raises(NotFound) as caught:
        copy(source, sink, root, Job(), name="n")
    assert caught.value.origin == "source"
    assert not sink.has(root)
    assert list(sink.tags()) == []


def test_errors_of_the_sink_say_so() -> None:
    class Full(MemoryStore):
        def has(self, descriptor: Descriptor) -> bool:
            raise Invalid("no room for it")

    source = MemoryStore()
    with pytest.raises(Invalid) as caught:
        copy(source, Full(), plain_image(source, b"x").root, Job())
    assert caught.value.origin == "sink"


def test_wrong_bytes_are_corrupt_and_blamed_on_the_source() -> None:
    source, sink = Lying(), MemoryStore()
    image = plain_image(source, b"right")
    source.lie(image.layers[0], b"wrong".ljust(image.layers[0].size))
    with pytest.raises(Corrupt) as caught:
        copy(source, sink, image.root, Job())
    assert caught.value.origin == "source"
    assert not sink.has(image.layers[0])
    assert not sink.has(image.root)


def test_a_manifest_that_is_another_one_is_corrupt() -> None:
    source, sink = Lying(), MemoryStore()
    one, two = plain_image(source, b"1"), plain_image(source, b"2")
    source.lie(one.root, b"".join(source.open(two.root)))
    with pytest.raises(Corrupt):
        copy(source, sink, one.root, Job())
    assert sink.order == [] if isinstance(sink, Recording) else not sink.has(two.root)


def test_a_wrong_partial_of_an_earlier_copy_does_not_hurt(tmp_path: Path) -> None:
    source, sink = MemoryStore(), OCILayout(tmp_path)
    blob = put(source, b"right bytes")
    with sink.ingest(blob) as ingest:
        ingest.write(b"wrong")
    copy(source, sink, blob, Job())
    assert sink.has(blob)


def test_a_whole_partial_is_committed_without_reading_again(tmp_path: Path) -> None:
    source, sink = Flaky(MemoryStore(), failures=0), OCILayout(tmp_path)
    blob = put(source.inner, b"all of it")
    with sink.ingest(blob) as ingest:
        ingest.write(b"all of it")
    copy(source, sink, blob, Job())
    assert source.opened == []
    assert sink.has(blob)


def test_a_neighbours_blob_is_mounted() -> None:
    source = Remembering()
    image = plain_image(source, b"shared")
    other = MemoryStore()
    copy(source, other, image.root, Job())
    for child in (image.config, *image.layers):
        source.remember("origin", child.digest, "registry.example:5000/team/base")
    sink = Neighbour("registry.example:5000/team/app", {"team/base": other})
    statuses = _statuses(source, sink, image.root)
    assert statuses[image.layers[0].digest] == "mounted"
    assert statuses[image.config.digest] == "mounted"
    assert statuses[image.root.digest] == "done"


@pytest.mark.parametrize("origin", ["elsewhere.example/team/base", "registry.example/team/app"])
def test_nothing_is_mounted_from_another_host_or_from_itself(origin: str) -> None:
    source = Remembering()
    image = plain_image(source, b"x")
    source.remember("origin", image.layers[0].digest, origin)
    sink = Neighbour("registry.example/team/app", {})
    assert _statuses(source, sink, image.root)[image.layers[0].digest] == "done"
    assert sink.asked == []


def test_a_mount_that_is_refused_is_a_transfer() -> None:
    source = Remembering()
    image = plain_image(source, b"x")
    source.remember("origin", image.layers[0].digest, "registry.example/gone")
    sink = Neighbour("registry.example/team/app", {})
    assert _statuses(source, sink, image.root)[image.layers[0].digest] == "done"
    assert sink.asked == ["gone"]


def test_a_copy_remembers_where_content_is_known() -> None:
    source = Remembering()
    image = plain_image(source, b"x")
    copy(source, Neighbour("registry.example/a", {}), image.root, Job())
    assert source.recall("origin", image.layers[0].digest) == "registry.example/a"

    pulled = Remembering()
    remote = Neighbour("registry.example/b", {})
    copy(source, remote, image.root, Job())
    copy(remote, pulled, image.root, Job())
    assert pulled.recall("origin", image.layers[0].digest) == "registry.example/b"


def test_a_cancelled_job_stops_all_transfers() -> None:
    source, sink = MemoryStore(), MemoryStore()
    image = plain_image(source, *[b"%d" % n * 3_000_000 for n in range(6)])
    job: Job

    def emit(event: Event) -> None:
        if isinstance(event, Progress) and event.current > 1_000_000:
            job.cancel()

    job = Job(emit)
    with pytest.raises(Cancelled):
        copy(source, sink, image.root, job, name="n")
    assert not sink.has(image.root)
    assert list(sink.tags()) == []


def test_one_failure_stops_the_others_and_is_the_one_that_is_told() -> None:
    source = MemoryStore()
    config = put(source, b"{}", media.OCI_EMPTY)
    gone = describe(b"gone", media.OCI_LAYER)
    layers = [put(source, b"%d" % n * 2_000_000, media.OCI_LAYER) for n in range(8)]
    root, raw = build_manifest(config, [gone, *layers])
    put(source, raw, root.media_type)
    events: list[Event] = []
    job = Job(events.append)
    with pytest.raises(NotFound, match=gone.digest):
        copy(source, MemoryStore(), root, job)
    assert not job.cancelled
    started = {e.id for e in events if isinstance(e, Started)}
    assert started == {e.id for e in events if isinstance(e, Finished)}


def _nested(store: MemoryStore, depth: int) -> Descriptor:
    root = plain_image(store, b"x").root
    for _ in range(depth):
        root, raw = build_index([root])
        put(store, raw, root.media_type)
    return root


def _wide(store: MemoryStore) -> Descriptor:
    config = put(store, b"{}", media.OCI_EMPTY)
    layers = [
        Descriptor(media_type=media.OCI_LAYER, digest=Digest(f"sha256:{n:064x}"), size=1)
        for n in range(20_001)
    ]
    root, raw = build_manifest(config, layers)
    return put(store, raw, root.media_type)


def _heavy(store: MemoryStore) -> Descriptor:
    children = [
        Descriptor(media_type=media.OCI_MANIFEST, digest=Digest(f"sha256:{n:064x}"), size=4_000_000)
        for n in range(30)
    ]
    root, raw = build_index(children)
    return put(store, raw, root.media_type)


def _giant(store: MemoryStore) -> Descriptor:
    return Descriptor(
        media_type=media.OCI_MANIFEST, digest=Digest(f"sha256:{1:064x}"), size=50_000_000
    )


def _twisted(store: MemoryStore) -> Descriptor:
    """Indexes that are shallow one by one, but whose longest path is long."""
    listed = [plain_image(store, b"x").root]
    for _ in range(12):
        root, raw = build_index(listed)
        listed = [*listed, put(store, raw, root.media_type)]
    root, raw = build_index(listed)
    return put(store, raw, root.media_type)


@pytest.mark.parametrize(
    "make", [lambda store: _nested(store, 20), _wide, _heavy, _giant, _twisted]
)
def test_graphs_beyond_the_limits_are_refused(make: Callable[[MemoryStore], Descriptor]) -> None:
    source, sink = MemoryStore(), MemoryStore()
    root = make(source)
    with pytest.raises(Invalid):
        copy(source, sink, root, Job(), name="n")
    assert not sink.has(root)


def test_graphs_within_the_limits_are_copied() -> None:
    source, sink = MemoryStore(), MemoryStore()
    root = _nested(source, 4)
    copy(source, sink, root, Job())
    assert sink.has(root)


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{}", b'{"schemaVersion":2,"config":5,"layers":[]}', b"[" * 5000]
)
def test_malformed_manifests_are_an_error_of_the_source(raw: bytes) -> None:
    source, sink = MemoryStore(), MemoryStore()
    root = put(source, raw, media.OCI_MANIFEST)
    with pytest.raises(CortenError) as caught:
        copy(source, sink, root, Job())
    assert caught.value.origin == "source"
    assert not sink.has(root)
