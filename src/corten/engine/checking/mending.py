"""Making damaged and missing blobs again out of what is whole."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

from corten.archive.compression import Deflater, Inflater, deflater, inflater
from corten.content.local import LocalStore
from corten.content.protocols import PIECE
from corten.engine.checking.scope import DAMAGED
from corten.engine.checking.survey import Need, Needs
from corten.engine.restoring import inflate_again
from corten.errors import Cancelled, CortenError, NotFound, Unavailable
from corten.events.job import Job
from corten.oci import media
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest, new_hasher


class Reads(Protocol):
    """A file, as far as it is read here."""

    def read(self, size: int, /) -> bytes: ...


class Mender:
    """Mends blobs of `store`.  ``damaged`` shrinks as they become whole.

    `copies` gives files elsewhere that may hold the same tar (a driver's).
    """

    def __init__(
        self,
        store: LocalStore,
        needs: Needs,
        damaged: Collection[Digest],
        copies: Callable[[Digest], Iterator[Path]],
        job: Job,
    ) -> None:
        self._store = store
        self._needs = needs
        self._copies = copies
        self._job = job
        self.damaged = set(damaged)

    def mend(self, digest: Digest) -> str:
        """Make the blob again, with the very bytes; says how, empty: it cannot be done.

        Raises: Unavailable: the disk is full; Cancelled.
        """
        need = self._needs.get(digest, Need(""))
        for how, attempt in self._attempts(digest, need):
            with self._job.step("repair", str(digest), need.size) as step:
                if attempt():
                    self.damaged.discard(digest)
                    return how
                step.result("done", "other bytes")
        return ""

    def _attempts(self, digest: Digest, need: Need) -> Iterator[tuple[str, Callable[[], bool]]]:
        for packed in sorted(need.packed):
            if self._whole(packed):
                how = f"inflated again from {packed.short}"
                yield how, partial(self._inflate, packed, digest)
        for path in self._copies(digest):
            yield "copied from the applied layer", partial(self._copy, path, digest)
        layer, tar = need.layer, need.tar
        if layer is not None and tar is not None and tar != digest and self._whole(tar):
            yield f"compressed again from its tar {tar.short}", partial(self._deflate, layer, tar)

    def is_whole_by_now(self, digest: Digest) -> bool:
        """Whether another command brought the blob while this one looked at the others."""
        try:
            with self._store.blobs.open(digest) as file:
                whole = _is_right(file, digest)
        except NotFound:
            return False
        if whole:
            self.damaged.discard(digest)
        return whole

    def move_aside(self, digest: Digest) -> Path | None:
        """Take the damaged blob out of the store, to be fetched anew; where it is now.

        None: it was gone, or is whole by now.
        """
        aside = self._store.root / DAMAGED
        aside.mkdir(mode=0o700, exist_ok=True)
        target = aside / f"{digest.algorithm}-{digest.encoded}"
        return target if self._take_out(digest, target) else None

    def drop(self, digest: Digest) -> None:
        """Delete the blob, unless it is whole by now."""
        self._take_out(digest, None)

    def _take_out(self, digest: Digest, aside: Path | None) -> bool:
        try:
            with self._store.blobs.open(digest) as file:
                taken = not _is_right(file, digest) and self._store.blobs.take_out(
                    digest, file, aside
                )
        except NotFound:
            taken = False
        self.damaged.discard(digest)
        return taken

    def _whole(self, digest: Digest) -> bool:
        return digest not in self.damaged and self._store.blobs.size_or_none(digest) is not None

    def _inflate(self, packed: Digest, tar: Digest) -> bool:
        return inflate_again(self._store, packed, tar, self._job)

    def _copy(self, path: Path, tar: Digest) -> bool:
        try:
            with path.open("rb") as file:
                return self._make(
                    tar, None, lambda write: _pump(file, inflater("", write), self._job)
                )
        except OSError:
            return False

    def _deflate(self, layer: Descriptor, tar: Digest) -> bool:
        kind = media.compression(layer.media_type)
        if kind not in ("gzip", "zstd"):
            return False
        with self._store.blobs.open(tar) as file:
            return self._make(
                layer.digest,
                layer,
                lambda write: _pump(file, deflater(kind, write), self._job),
            )

    def _make(
        self,
        digest: Digest,
        descriptor: Descriptor | None,
        fill: Callable[[Callable[[bytes], object]], None],
    ) -> bool:
        """Whether what `fill` writes is the blob; then it takes its place."""
        # What a cut-off pull left of it is left alone: here all bytes come at once.
        limit = descriptor.size if descriptor is not None else None
        with self._store.blobs.ingest() as ingest:

            def write(data: bytes) -> None:
                ingest.write(data)
                if limit is not None and ingest.offset > limit:
                    raise _OtherBytes

            try:
                fill(write)
                ingest.commit(digest)
            except _OtherBytes:
                return False
            except (Unavailable, Cancelled):
                raise
            except CortenError:  # damaged compression, another digest
                return False
        return True


class _OtherBytes(Exception):
    """It is not going to be the blob."""


def _pump(file: Reads, stream: Inflater | Deflater, job: Job) -> None:
    while piece := file.read(PIECE):
        job.check()
        stream.feed(piece)
    stream.finish()


def _is_right(file: Reads, digest: Digest) -> bool:
    """Whether the file, from here to its end, is the blob as far as can be known."""
    if not digest.computable:
        return True
    hasher = new_hasher(digest.algorithm)
    while piece := file.read(PIECE):
        hasher.update(piece)
    return Digest.from_hasher(hasher, digest.algorithm) == digest
