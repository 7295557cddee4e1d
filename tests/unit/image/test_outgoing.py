"""A layer that is sent while it is compressed, to a sink that may fail at any moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from corten.content.copy import copy
from corten.content.local import LocalStore
from corten.content.memory import MemoryIngest, MemoryStore
from corten.content.protocols import Buffer
from corten.errors import Cancelled, Corrupt, CortenError, Denied, Invalid, Unavailable
from corten.events.job import Job
from corten.events.model import Event, Finished, Progress, Started
from corten.image.compress import compressed
from corten.image.view import load_image
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from support.contents import AMD64, plain_image, read_all

LARGE = bytes(range(256)) * 20_000
"""Several pieces, of which each takes a moment to come out of the compressor."""


class Registry(MemoryStore):
    """A sink that streams, and raises `error` at the `fails_at`: ``begin``, ``write``, ``commit``."""

    origin = "registry.example/some/app"

    def __init__(self, fails_at: str = "", error: CortenError | None = None) -> None:
        super().__init__()
        self.fails_at, self.error = fails_at, error
        self.uploads: list[Upload] = []
        self.on_write: Callable[[], None] = lambda: None
        self._taken: set[Digest] = set()

    def stream(self) -> Upload:
        self.reach("begin")
        self.uploads.append(Upload(self))
        return self.uploads[-1]

    def took(self, digest: Digest) -> bool:
        return digest in self._taken

    def reach(self, place: str) -> None:
        if place == self.fails_at and self.error is not None:
            raise self.error

    def keep(self, descriptor: Descriptor, data: bytes) -> None:
        super().keep(descriptor, data)
        self._taken.add(descriptor.digest)


class Upload(MemoryIngest):
    def __init__(self, owner: Registry) -> None:
        super().__init__(owner, None)
        self._owner = owner
        self.writes = 0
        self.told: Digest | None = None

    def write(self, data: Buffer, /) -> int:
        self.writes += 1
        self._owner.on_write()
        if self.writes > 1:
            self._owner.reach("write")
        return super().write(data)

    def commit(self, expected: Digest | None = None) -> Descriptor:
        self.told = expected
        self._owner.reach("commit")
        return super().commit(expected)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    with LocalStore(tmp_path / "root", AMD64) as made:
        yield made


def statuses(events: list[Event]) -> list[tuple[str, str]]:
    """Kind and status of each step, in the order in which they ended."""
    kinds = {e.id: e.kind for e in events if isinstance(e, Started)}
    return [(kinds[e.id], e.status) for e in events if isinstance(e, Finished)]


def test_a_layer_is_there_when_it_is_compressed_and_is_not_copied_again(
    store: LocalStore, tmp_path: Path
) -> None:
    registry, events = Registry(), list[Event]()
    made = plain_image(store, LARGE, b"small")
    root = compressed(store, made.root, Job(events.append), registry)
    assert statuses(events) == [("send", "done")] * 2
    layers = load_image(store, root, AMD64).layers
    for layer in layers:
        assert read_all(registry, layer) == read_all(store, layer)
        assert store.recall("origin", layer.digest) == registry.origin
    events.clear()
    copy(store, registry, root, Job(events.append), name="v1")
    copied = {e.name for e in events if isinstance(e, Started)}
    assert copied == {root.digest, made.config.digest}
    with LocalStore(tmp_path / "other", AMD64) as other:
        assert compressed(other, plain_image(other, LARGE, b"small").root, Job()) == root


def test_sending_begins_long_before_compressing_ends(store: LocalStore) -> None:
    registry, seen, reached = Registry(), list[int](), 0

    def emit(event: Event) -> None:
        nonlocal reached
        if isinstance(event, Progress):
            reached = event.current

    registry.on_write = lambda: seen.append(reached)
    made = plain_image(store, LARGE)
    compressed(store, made.root, Job(emit), registry)
    assert seen[0] < made.layers[0].size // 2
    assert seen[-1] == reached == made.layers[0].size


def test_what_is_known_is_not_sent_this_way(store: LocalStore) -> None:
    made, registry, events = plain_image(store, b"a"), Registry(), list[Event]()
    root = compressed(store, made.root, Job())
    assert compressed(store, made.root, Job(events.append), registry) == root
    assert (statuses(events), registry.uploads) == ([("compress", "cached")], [])


def test_a_sink_that_must_know_the_digest_first_gets_nothing(store: LocalStore) -> None:
    made, sink, events = plain_image(store, b"a"), MemoryStore(), list[Event]()
    compressed(store, made.root, Job(events.append), sink)
    assert (statuses(events), list(sink.walk())) == ([("compress", "done")], [])


@pytest.mark.parametrize("place", ["write", "commit"])
@pytest.mark.parametrize("family", [Unavailable, Invalid, Corrupt])
def test_a_registry_that_fails_meanwhile_gets_the_layer_by_copy(
    store: LocalStore, place: str, family: type[Unavailable] | type[Invalid] | type[Corrupt]
) -> None:
    registry, events = Registry(place, family("broken off")), list[Event]()
    root = compressed(store, plain_image(store, LARGE).root, Job(events.append), registry)
    assert statuses(events) == [("send", "compressed")]
    (layer,) = load_image(store, root, AMD64).layers
    # It is told whose upload that was, so that it may go on later.
    assert registry.uploads[0].told == layer.digest
    assert not registry.has(layer)
    assert store.recall("origin", layer.digest) is None
    copy(store, registry, root, Job(), name="v1")
    assert read_all(registry, layer) == read_all(store, layer)


@pytest.mark.parametrize("place", ["begin", "write", "commit"])
def test_who_is_denied_hears_so_at_once(store: LocalStore, place: str) -> None:
    registry = Registry(place, Denied("not yours", hint="log in"))
    made = plain_image(store, LARGE, b"small", b"another")
    with pytest.raises(Denied, match="not yours"):
        compressed(store, made.root, Job(), registry)
    assert list(registry.walk()) == []
    assert list((store.path / "ingest").glob("*.new")) == []


def test_one_layers_failure_stops_the_others_and_nothing_else(store: LocalStore) -> None:
    registry = Registry("write", Denied("not yours"))
    made = plain_image(store, *(LARGE + bytes([n]) for n in range(8)))
    events: list[Event] = []
    job = Job(events.append)
    with pytest.raises(Denied):
        compressed(store, made.root, job, registry)
    assert {status for _, status in statuses(events)} <= {"failed", "cancelled"}
    assert len(registry.uploads) < 8
    job.check()


def test_it_can_be_cancelled_and_leaves_nothing(store: LocalStore) -> None:
    registry, made = Registry(), plain_image(store, LARGE)
    before = {d.digest for d in store.walk()}
    job = Job()
    registry.on_write = job.cancel
    with pytest.raises(Cancelled):
        compressed(store, made.root, job, registry)
    assert {d.digest for d in store.walk()} == before
    assert list(registry.walk()) == []
    assert list((store.path / "ingest").glob("*.new")) == []
