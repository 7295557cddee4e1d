"""`copy`: pull, push, save, load and mirror are all this function over two ends.

The graph below a root is read level by level; blobs move in a few threads while
it is still being read; documents follow from the bottom up, so that nothing is
visible before what it names.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from corten.content.claims import claimed
from corten.content.graph import (
    COUNT_LIMIT,
    bottom_up,
    check_bytes,
    is_document,
    read_document,
    write_document,
)
from corten.content.protocols import (
    PIECE,
    Hosted,
    Ingest,
    Mounts,
    Remembers,
    Sink,
    Source,
    Streams,
)
from corten.content.retry import retrying
from corten.errors import Cancelled, Corrupt, CortenError, Invalid, Unsupported
from corten.events.job import Job
from corten.oci import media
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.oci.manifest import Index, parse_document
from corten.system.heap import keep_freed_memory

T = TypeVar("T")

JOBS = 4
"""Transfers at a time, over the whole graph."""

_AGAIN = "try again; if it stays so, the registry's copy is damaged"

Select = Callable[[Index], Iterable[Descriptor]]
"""Which children of an index to take along."""


def copy(
    source: Source,
    sink: Sink,
    root: Descriptor,
    job: Job,
    *,
    name: str = "",
    select: Select | None = None,
) -> Descriptor:
    """Bring `root` and all below it from `source` to `sink`, and let `name` (if any) stand for it.

    What the sink has is skipped, without a step what it took while it was made; a blob that a neighbouring repository has is
    mounted where the sink can; layers that must not be distributed are left out.
    `select` limits which children of an index come along.  One step of kind
    ``copy`` is reported for each blob, with status ``cached`` or ``mounted`` where
    no bytes moved.  A blob that another copy is bringing to the same store is waited
    for, in a step ``wait`` below it.  Returns `root`.

    Raises: errors of both ends, with ``origin`` ``source`` or ``sink``;
    Unavailable only after several tries; Corrupt: bytes are not what a digest
    says; Invalid: a malformed manifest, or a graph beyond the limits; Cancelled.
    What was moved until then stays, so that another copy goes on from there.
    """
    _Copy(source, sink, job, select).run(root, name)
    return root


class _Copy(msgspec.Struct):
    source: Source
    sink: Sink
    job: Job
    select: Select | None
    documents: dict[Digest, bytes] = msgspec.field(default_factory=dict)
    below: dict[Descriptor, set[Digest]] = msgspec.field(default_factory=dict)
    seen: set[Digest] = msgspec.field(default_factory=set)
    stopped: threading.Event = msgspec.field(default_factory=threading.Event)

    def run(self, root: Descriptor, name: str) -> None:
        with _naming(self.source), ThreadPoolExecutor(JOBS, "corten-copy") as pool:
            try:
                self._move(root, name, pool)
            except BaseException:
                # The others must end first: the pool waits for them.
                self.stopped.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        if name:
            with _side("sink"):
                self._retry(lambda: self.sink.tag(name, root))

    def _move(self, root: Descriptor, name: str, pool: ThreadPoolExecutor) -> None:
        transfers: list[Future[None]] = []
        level = [root]
        self.seen.add(root.digest)
        while level:
            documents = [d for d in level if is_document(d)]
            transfers += [pool.submit(self._blob, d) for d in level if not is_document(d)]
            check_bytes(sum(map(len, self.documents.values())), documents)
            _results([pool.submit(self._read, d) for d in documents])
            level = [child for d in documents for child in self._new_children(d)]
        # Before anything is waited for: a graph that is too deep is refused at once.
        rounds = bottom_up(self.below)
        _results(transfers)
        for documents in rounds:
            _results([
                pool.submit(self._document, d, name if d.digest == root.digest else "")
                for d in documents
            ])  # fmt: skip

    def _read(self, descriptor: Descriptor) -> None:
        with _side("source"):
            raw = self._retry(lambda: read_document(self.source, descriptor))
        self.documents[descriptor.digest] = raw

    def _new_children(self, descriptor: Descriptor) -> Iterator[Descriptor]:
        with _side("source"):
            document = parse_document(self.documents[descriptor.digest], descriptor.media_type)
        children: Iterable[Descriptor] = document.children
        if isinstance(document, Index) and self.select is not None:
            children = self.select(document)
        below = self.below[descriptor] = set()
        for child in children:
            if is_document(child):
                below.add(child.digest)
            if child.digest in self.seen or media.is_foreign(child.media_type):
                continue
            if len(self.seen) >= COUNT_LIMIT:
                raise Invalid(f"{descriptor.digest} names more than {COUNT_LIMIT} blobs")
            self.seen.add(child.digest)
            if not (isinstance(self.sink, Streams) and self.sink.took(child.digest)):
                yield child

    def _document(self, descriptor: Descriptor, name: str) -> None:
        raw = self.documents[descriptor.digest]
        with self._step(descriptor) as step, _side("sink"):
            # A document that is there is sent all the same if it shall have a name there.
            if not name and self._retry(lambda: self.sink.has(descriptor)):
                step.result("cached")
                return

            self._retry(lambda: write_document(self.sink, descriptor, raw, name))
            step.advance(len(raw))

    def _blob(self, descriptor: Descriptor) -> None:
        with (
            self._step(descriptor) as step,
            claimed(self.sink, descriptor, step, self.check),
        ):
            with _side("sink"):
                if self._retry(lambda: self.sink.has(descriptor)):
                    step.result("cached")
                    return
                if self._mount(descriptor):
                    step.result("mounted")
                    return
            _Transfer(self, descriptor, step).run()
            self._note_origin(descriptor)

    def _mount(self, descriptor: Descriptor) -> bool:
        sink, source = self.sink, self.source
        if not (
            isinstance(sink, Mounts) and isinstance(sink, Hosted) and isinstance(source, Remembers)
        ):
            return False
        origin = source.recall("origin", descriptor.digest) or ""
        host, _, repository = origin.partition("/")
        if not repository or origin == sink.origin or sink.origin.partition("/")[0] != host:
            return False
        return self._retry(lambda: sink.mount(descriptor, repository))

    def _note_origin(self, descriptor: Descriptor) -> None:
        """Both directions tell where the blob is known to exist: pulled from there, pushed to it."""
        for place, memory in ((self.source, self.sink), (self.sink, self.source)):
            if isinstance(place, Hosted) and isinstance(memory, Remembers):
                memory.remember("origin", descriptor.digest, place.origin)

    def check(self) -> None:
        self.job.check()
        if self.stopped.is_set():
            raise Cancelled("stopped because another transfer failed")

    def _retry(self, attempt: Callable[[], T]) -> T:
        return retrying(attempt, self.check, lambda: 0)

    @contextmanager
    def _step(self, descriptor: Descriptor) -> Iterator[Job]:
        self.check()
        with self.job.step("copy", str(descriptor.digest), descriptor.size) as step:
            yield step


class _Transfer:
    """One blob on its way, over as many tries as it takes."""

    def __init__(self, owner: _Copy, descriptor: Descriptor, step: Job) -> None:
        self._owner = owner
        self._descriptor = descriptor
        self._step = step
        self._moved = 0
        self._reported = 0

    def run(self) -> None:
        keep_freed_memory(self._descriptor.size)
        retrying(self._attempt, self._owner.check, lambda: self._moved)

    def _attempt(self) -> None:
        descriptor, resumed = self._descriptor, 0
        try:
            with _side("sink"), self._owner.sink.ingest(descriptor) as ingest:
                resumed = ingest.offset
                if resumed < descriptor.size or not descriptor.size:
                    self._pump(ingest.write, resumed)
                self._commit(ingest)
        except Corrupt:
            if not resumed:
                raise
            # What an earlier try left may be what is wrong; commit has removed it.
            with _side("sink"), self._owner.sink.ingest(descriptor) as ingest:
                self._pump(ingest.write, ingest.offset)
                self._commit(ingest)

    def _commit(self, ingest: Ingest) -> None:
        try:
            ingest.commit(self._descriptor.digest)
        except Corrupt as error:
            error.origin = error.origin or "source"  # the bytes came from there
            raise

    def _pump(self, write: Callable[[bytes], int], offset: int) -> None:
        self._report(offset)
        with _side("source"):
            reader = self._owner.source.open(self._descriptor, offset)
        with reader:
            while True:
                with _side("source"):
                    data = reader.read(PIECE)
                if not data:
                    return
                self._owner.check()
                write(data)
                offset += len(data)
                self._moved = max(self._moved, offset)  # what comes again is no progress
                self._report(offset)

    def _report(self, offset: int) -> None:
        self._step.advance(offset - self._reported)
        self._reported = offset


def _results(futures: list[Future[None]]) -> None:
    """Wait for all; raises what the first one to fail raised."""
    for future in as_completed(futures):
        future.result()


@contextmanager
def _naming(source: Source) -> Iterator[None]:
    """Errors about what came from a registry say from which repository of which."""
    try:
        yield
    except (Corrupt, Invalid, Unsupported) as error:
        if error.origin == "source" and isinstance(source, Hosted):
            if source.origin.partition("/")[0] not in error.message:
                error.message = f"{source.origin}: {error.message}"
                error.args = (error.message,)
            if isinstance(error, Corrupt):
                error.hint = error.hint or _AGAIN
        raise


@contextmanager
def _side(origin: str) -> Iterator[None]:
    """Errors that leave the block say which end they are from, if they do not yet."""
    try:
        yield
    except CortenError as error:
        if not error.origin and not isinstance(error, Cancelled):
            error.origin = origin
        raise
