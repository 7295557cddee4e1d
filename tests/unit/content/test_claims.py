from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from corten.content.blobs import BlobDirectory
from corten.content.claims import Claimed, claim_file, claimed
from corten.content.copy import copy
from corten.content.local import LocalStore
from corten.content.memory import MemoryStore
from corten.content.protocols import BlobReader, Claims
from corten.errors import Cancelled, Denied, Unavailable
from corten.events.job import Job
from corten.events.model import Event, Finished, Started
from corten.oci import media
from corten.oci.descriptor import Descriptor, describe
from corten.oci.digest import Digest
from support.contents import AMD64, PlainImage, plain_image, put, read_all

DATA = b"0123456789" * 1000
BLOB = describe(DATA, media.OCTET_STREAM)


class Gated:
    """A source that counts what is opened, and whose readers call `gate` before they give anything."""

    def __init__(self, inner: MemoryStore, gate: Callable[[], object]) -> None:
        self.inner = inner
        self.gate = gate
        self.opened: list[tuple[Digest, int]] = []

    def resolve(self, name: str) -> Descriptor:
        return self.inner.resolve(name)

    def open(self, descriptor: Descriptor, offset: int = 0) -> BlobReader:
        self.opened.append((descriptor.digest, offset))
        return _Reader(self.inner.open(descriptor, offset), self.gate)


class _Reader:
    def __init__(self, inner: BlobReader, gate: Callable[[], object]) -> None:
        self._inner, self._gate = inner, gate

    def read(self, size: int = -1, /) -> bytes:
        self._gate()
        return self._inner.read(size)

    def close(self) -> None:
        self._inner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Ending(_Reader):
    def __init__(self, inner: BlobReader, gate: Callable[[], object]) -> None:
        super().__init__(inner, gate)
        self._begin = inner.read(4000)

    def read(self, size: int = -1, /) -> bytes:
        begin, self._begin = self._begin, b""
        return begin or super().read(size)


class Watcher:
    """Notes events; ``waiting`` is set when a step ``wait`` begins."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.waiting = threading.Event()
        self.job = Job(self._take)

    def _take(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Started) and event.kind == "wait":
            self.waiting.set()

    def statuses(self, kind: str) -> list[str]:
        ids = [e.id for e in self.events if isinstance(e, Started) and e.kind == kind]
        return [e.status for e in self.events if isinstance(e, Finished) and e.id in ids]


@pytest.fixture
def source() -> MemoryStore:
    store = MemoryStore()
    put(store, DATA)
    return store


def in_thread(work: Callable[[], Any]) -> tuple[ThreadPoolExecutor, Any]:
    pool = ThreadPoolExecutor(1)
    return pool, pool.submit(work)


def leftovers(path: Path) -> list[str]:
    return sorted(p.name for p in (path / "content" / "ingest").iterdir() if "sha256" in p.name)


def test_the_second_of_two_copies_waits_and_finds_the_blob(
    source: MemoryStore, tmp_path: Path
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def gate() -> None:
        begun.set()
        assert go_on.wait(20)

    gated, watcher = Gated(source, gate), Watcher()
    with LocalStore(tmp_path, AMD64) as one, LocalStore(tmp_path, AMD64) as two:
        first_pool, first = in_thread(lambda: copy(gated, one, BLOB, Job()))
        assert begun.wait(20)
        second_pool, second = in_thread(lambda: copy(gated, two, BLOB, watcher.job))
        assert watcher.waiting.wait(20)
        go_on.set()
        first.result(20)
        second.result(20)
        first_pool.shutdown()
        second_pool.shutdown()
        assert gated.opened == [(BLOB.digest, 0)]
        assert read_all(two, BLOB) == DATA
    assert watcher.statuses("wait") == ["done"]
    assert watcher.statuses("copy") == ["cached"]
    assert leftovers(tmp_path) == []


def test_who_waits_can_be_cancelled(source: MemoryStore, tmp_path: Path) -> None:
    watcher = Watcher()
    with LocalStore(tmp_path, AMD64) as store:
        claim = store.claim(BLOB)
        with claim:
            pool, waiting = in_thread(lambda: copy(source, store, BLOB, watcher.job))
            assert watcher.waiting.wait(20)
            watcher.job.cancel()
            with pytest.raises(Cancelled):
                waiting.result(20)
            pool.shutdown()
    assert watcher.statuses("wait") == ["cancelled"]
    assert leftovers(tmp_path) == []


def test_who_waited_for_one_that_failed_goes_on_where_it_stopped(
    source: MemoryStore, tmp_path: Path
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Failing(Gated):
        """Gives 4,000 bytes, and then what is no error to try again after."""

        def open(self, descriptor: Descriptor, offset: int = 0) -> BlobReader:
            return _Ending(super().open(descriptor, offset), fail)

    def fail() -> None:
        begun.set()
        assert go_on.wait(20)
        raise Denied("no more")

    gated, watcher = Gated(source, lambda: None), Watcher()
    with LocalStore(tmp_path, AMD64) as store:
        first_pool, first = in_thread(lambda: copy(Failing(source, bool), store, BLOB, Job()))
        assert begun.wait(20)
        second_pool, second = in_thread(lambda: copy(gated, store, BLOB, watcher.job))
        assert watcher.waiting.wait(20)
        go_on.set()
        with pytest.raises(Denied, match="no more"):
            first.result(20)
        second.result(20)
        first_pool.shutdown()
        second_pool.shutdown()
        assert gated.opened == [(BLOB.digest, 4000)]
        assert read_all(store, BLOB) == DATA
    assert watcher.statuses("copy") == ["done"]


def test_copies_of_the_same_blobs_in_opposite_orders_both_end(tmp_path: Path) -> None:
    here, there = MemoryStore(), MemoryStore()
    contents = [b"%d" % number for number in range(24)]
    forward = plain_image(here, *contents)
    backward = plain_image(there, *reversed(contents))
    assert set(forward.layers) == set(backward.layers)
    together = threading.Barrier(2)
    sources = [Gated(here, lambda: None), Gated(there, lambda: None)]

    def bring(source: Gated, image: PlainImage) -> None:
        with LocalStore(tmp_path, AMD64) as store:
            together.wait(20)
            copy(source, store, image.root, Job())

    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(bring, s, i) for s, i in zip(sources, (forward, backward), strict=True)]
        for each in done:
            each.result(60)
    opened = [digest for source in sources for digest, _ in source.opened]
    layers = {layer.digest for layer in forward.layers}
    assert sorted(d for d in opened if d in layers) == sorted(layers)
    assert leftovers(tmp_path) == []


def test_a_claim_ends_with_its_process_and_what_it_wrote_is_gone_on_with(
    source: MemoryStore, tmp_path: Path
) -> None:
    program = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "import pathlib\n"
        "from corten.content.local import LocalStore\n"
        "from corten.oci.descriptor import describe\n"
        "data = b'0123456789' * 1000\n"
        "blob = describe(data, 'application/octet-stream')\n"
        "store = LocalStore(pathlib.Path(sys.argv[1]))\n"
        "with store.claim(blob), store.ingest(blob) as ingest:\n"
        "    ingest.write(data[:6000])\n"
        "    print('there', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    with other, LocalStore(tmp_path, AMD64) as store:
        try:
            assert other.stdout.readline() == "there\n"
            with pytest.raises(Claimed, match=f"process {other.pid} "):
                store.claim(BLOB)
        finally:
            other.kill()
            other.wait(20)
        assert leftovers(tmp_path) == [
            f"sha256-{BLOB.digest.encoded}{s}" for s in (".claim", ".part")
        ]
        gated = Gated(source, lambda: None)
        copy(gated, store, BLOB, Job())
        assert gated.opened == [(BLOB.digest, 6000)]
    assert leftovers(tmp_path) == []


def test_nobody_waits_for_a_process_that_was_stopped(source: MemoryStore, tmp_path: Path) -> None:
    program = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "import pathlib\n"
        "from corten.content.local import LocalStore\n"
        "from corten.oci.descriptor import describe\n"
        "data = b'0123456789' * 1000\n"
        "blob = describe(data, 'application/octet-stream')\n"
        "store = LocalStore(pathlib.Path(sys.argv[1]))\n"
        "with store.claim(blob), store.ingest(blob) as ingest:\n"
        "    ingest.write(data[:6000])\n"
        "    print('there', flush=True)\n"
        "    sys.stdin.readline()\n"
        "    ingest.write(data[6000:])\n"
        "    ingest.commit(blob.digest)\n"
    )
    with (
        subprocess.Popen(
            [sys.executable, "-c", program, tmp_path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as other,
        LocalStore(tmp_path, AMD64) as store,
    ):
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "there\n"
            watcher = Watcher()
            pool, waiting = in_thread(lambda: copy(source, store, BLOB, watcher.job))
            assert watcher.waiting.wait(20)  # it is at work: it is waited for
            other.send_signal(signal.SIGSTOP)
            waiting.result(20)
            pool.shutdown()
            assert read_all(store, BLOB) == DATA
            other.send_signal(signal.SIGCONT)
            other.communicate("go on\n", timeout=20)
            assert other.returncode == 0
            assert read_all(store, BLOB) == DATA
        finally:
            other.kill()
    assert leftovers(tmp_path) == []


def test_one_blob_is_claimed_once_and_others_are_free(tmp_path: Path) -> None:
    blobs = BlobDirectory(tmp_path)
    other = Digest.of(b"other")
    claim = blobs.claim(BLOB.digest)
    with claim:
        for each in (blobs, BlobDirectory(tmp_path)):
            with pytest.raises(Claimed, match="this process brings"):
                each.claim(BLOB.digest)
        free = blobs.claim(other)
        with free:
            pass
    again = blobs.claim(BLOB.digest)
    with again:
        pass


def test_a_claim_keeps_nobody_from_ingesting(tmp_path: Path) -> None:
    with LocalStore(tmp_path, AMD64) as store:
        claim = store.claim(BLOB)
        with claim:
            assert put(store, DATA) == BLOB
            assert store.has(BLOB)


def test_a_digest_too_long_for_a_file_name_needs_no_claim(tmp_path: Path) -> None:
    long = Digest(f"sha9+x:{'a' * 300}")
    for _ in range(2):
        claim = claim_file(tmp_path, long)
        with claim:
            assert list(tmp_path.iterdir()) == []


def test_a_sink_without_claims_is_not_waited_for() -> None:
    sink = MemoryStore()
    assert not isinstance(sink, Claims)
    watcher = Watcher()
    with claimed(sink, BLOB, watcher.job), claimed(sink, BLOB, watcher.job):
        assert watcher.events == []


def test_a_collection_removes_dead_claims_and_leaves_living_ones(tmp_path: Path) -> None:
    blobs = BlobDirectory(tmp_path)
    blobs.prepare()
    dead = tmp_path / "ingest" / f"sha256-{'a' * 64}.claim"
    dead.touch()
    claim = blobs.claim(BLOB.digest)
    with claim:
        assert blobs.sweep_partials(0) == (0, 0)
        assert not dead.exists()
        with pytest.raises(Claimed):
            blobs.claim(BLOB.digest)


def test_a_collection_removes_what_only_its_dead_writer_could_use(tmp_path: Path) -> None:
    blobs = BlobDirectory(tmp_path)
    blobs.prepare()
    dead = tmp_path / "ingest" / "0123456789ab.new"
    dead.write_bytes(b"half")
    partial = tmp_path / "ingest" / f"sha256-{'a' * 64}.part"
    partial.write_bytes(b"half")
    with blobs.ingest() as living:
        living.write(DATA)
        assert blobs.sweep_partials(0) == (1, 4)
        assert not dead.exists()
        assert partial.exists()
        assert living.commit().digest == BLOB.digest


def test_a_directory_that_takes_no_claim_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "ingest").write_bytes(b"in the way")
    with pytest.raises(Unavailable):
        BlobDirectory(tmp_path).claim(BLOB.digest)
    assert [path.name for path in tmp_path.iterdir()] == ["ingest"]
