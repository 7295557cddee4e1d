"""A sink that makes layers mountable while they come in.

`UnpackingSink` wraps the local store.  A layer's bytes go to the store as they
are; inflated, they go to the store again as the layer's tar (a blob named by its
diff id), in a second thread, and to the driver, which indexes them on the way, in a
third.  So a pull is over when the last byte has arrived.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import TracebackType
from typing import NoReturn, Protocol, Self

from corten.archive.compression import MAGIC, Inflater, detect, inflater
from corten.archive.expansion import TooLarge
from corten.archive.handing import BoundedQueue
from corten.config.limits import LAYER_LIMIT
from corten.content.protocols import PIECE, Buffer, Claims, Ingest, Locates, Sink, Source
from corten.errors import Corrupt, CortenError, Invalid, NotFound, Unsupported
from corten.oci import media
from corten.oci.codec import canonical_json
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.oci.image_config import CONFIG_LIMIT, parse_config
from corten.oci.manifest import MANIFEST_LIMIT, Index, Manifest, parse_document
from corten.snapshot.blame import in_layer
from corten.snapshot.protocols import Completes, Feeds, LayerFeed, Snapshotter

DIFF_ID = "diff-id"
"""The kind of fact that keeps a layer blob's diff id."""
GZIP_FORM = "compressed/gzip"
"""The kind of fact that keeps the descriptor of a tar's compressed form, as JSON."""

_DEPTH = 8
_MADE_SO = "its bytes are what the digest says: it was made so, and has to be made again"


class VerifyingIngest(Ingest, Protocol):
    """An ingest that can tell whether what came is what was asked for."""

    def verify(self) -> None:
        """Raises: Corrupt: what was written has not the descriptor's size or digest."""


class FactStore(Source, Sink, Claims, Locates, Protocol):
    """What unpacking needs of the local store."""

    def ingest(self, descriptor: Descriptor | None = None, name: str = "") -> VerifyingIngest:
        """As `Sink.ingest`."""

    def derive(self) -> Ingest:
        """As `ingest`, for what can be made again from a blob that is here."""

    def remember(self, kind: str, digest: Digest, value: str) -> None:
        """Keep a fact about a blob."""

    def recall(self, kind: str, digest: Digest) -> str | None:
        """A fact that was kept, or None."""


class UnpackingSink:
    """The local store as a sink whose layers are applied when they are committed.

    `limit` is up to how many bytes a layer may expand however few came.
    """

    def __init__(
        self, store: FactStore, snapshotter: Snapshotter, limit: int = LAYER_LIMIT
    ) -> None:
        self._store = store
        self._snapshotter = snapshotter
        self._limit = limit

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the blob is there; a layer that is, but was never applied, is applied now."""
        if not self._store.has(descriptor):
            return False
        if media.is_layer(descriptor.media_type) and self._diff_id(descriptor) is None:
            self._unpack_stored(descriptor)
        return True

    def ingest(self, descriptor: Descriptor | None = None, name: str = "") -> Ingest:
        """As :meth:`corten.content.protocols.Sink.ingest`."""
        inner = self._store.ingest(descriptor, name)
        if (
            descriptor is None
            or not media.is_layer(descriptor.media_type)
            or self._diff_id(descriptor) is not None
        ):
            return inner
        return _LayerIngest(self, inner, descriptor)

    def claim(self, descriptor: Descriptor) -> AbstractContextManager[object] | None:
        """As :meth:`corten.content.protocols.Claims.claim`; it ends when the layer is applied."""
        return self._store.claim(descriptor)

    def tag(self, name: str, descriptor: Descriptor) -> None:
        """As :meth:`corten.content.protocols.Sink.tag`.

        Raises: Corrupt: a layer does not unpack to what the image's configuration
        says (OCI image, config.md, "rootfs").
        """
        self._check(descriptor)
        self._store.tag(name, descriptor)

    def _diff_id(self, descriptor: Descriptor) -> Digest | None:
        """The layer's diff id if it is known and everything is in place, else None."""
        known = self._store.recall(DIFF_ID, descriptor.digest)
        if known is None:
            return None
        diff_id = Digest(known)
        if not self._snapshotter.has(diff_id):
            return None
        try:
            self._store.locate(Descriptor(media_type=media.OCI_LAYER, digest=diff_id, size=0))
        except NotFound:
            return None
        return diff_id

    def _unpacking(self, descriptor: Descriptor) -> _Unpacking:
        return _Unpacking(self._store, self._snapshotter, descriptor, self._limit)

    def _unpack_stored(self, descriptor: Descriptor) -> None:
        with in_layer(descriptor.digest), self._unpacking(descriptor) as unpacking:
            with self._store.open(descriptor) as reader:
                while piece := reader.read(PIECE):
                    unpacking.write(piece)
            unpacking.end()
            unpacking.apply(descriptor)

    def _check(self, descriptor: Descriptor) -> None:
        if descriptor.media_type not in media.DOCUMENTS:
            return
        raw = self._read(descriptor, MANIFEST_LIMIT)
        document = parse_document(raw, descriptor.media_type)
        if isinstance(document, Index):
            for child in document.manifests:
                if self._store.has(child):
                    self._check(child)
        elif document.config.media_type in media.CONFIGS:
            self._check_layers(document)

    def _check_layers(self, manifest: Manifest) -> None:
        config = parse_config(self._read(manifest.config, CONFIG_LIMIT))
        layers = manifest.layers
        if len(config.diff_ids) != len(layers):
            raise Corrupt(
                f"the image's manifest and its configuration differ in the number of layers:"
                f" {len(layers)} and {len(config.diff_ids)}"
            )
        whole = True
        for layer, wanted in zip(layers, config.diff_ids, strict=True):
            if not self.has(layer):
                whole = False
                continue  # one that must not be distributed; what is missing is tag's to refuse
            found = self._store.recall(DIFF_ID, layer.digest)
            if found != wanted:
                raise Corrupt(
                    f"layer {layer.digest.short} unpacks to {found}, "
                    f"but the image's configuration says {wanted}"
                )
        if whole and isinstance(self._snapshotter, Completes):
            self._snapshotter.complete(config.diff_ids)

    def _read(self, descriptor: Descriptor, limit: int) -> bytes:
        """A whole document.  Raises: Corrupt: larger than `limit` bytes."""
        pieces, size = [], 0
        with self._store.open(descriptor) as reader:
            while piece := reader.read(PIECE):
                size += len(piece)
                if size > limit:
                    raise Corrupt(f"{descriptor.digest.short} is larger than {limit} bytes")
                pieces.append(piece)
        return b"".join(pieces)


class _LayerIngest:
    """A layer on its way in: to the store, and through an `_Unpacking`.

    What cannot be unpacked is taken to its end all the same: only then is it known whether it is
    what the digest says, and so who is to blame.
    """

    def __init__(self, sink: UnpackingSink, inner: VerifyingIngest, descriptor: Descriptor) -> None:
        self._sink = sink
        self._inner = inner
        self._unpacking: _Unpacking | None = None
        self._descriptor = descriptor
        self._failure: CortenError | None = None
        self.offset = inner.offset

    def write(self, data: Buffer, /) -> int:
        """As `Ingest.write`.  Raises also: TooLarge."""
        count = self._inner.write(data)
        self.offset = self._inner.offset
        if self._unpacking is not None and self._failure is None:
            with self._failing():
                self._unpacking.write(data)
        return count

    def commit(self, expected: Digest | None = None) -> Descriptor:
        """As `Ingest.commit`; the layer is applied when it returns.

        Raises also: Corrupt, Invalid, Unsupported: by what the layer holds.
        """
        if self._unpacking is None:
            # It went on where an earlier ingest stopped: its beginning is only in the store.
            committed = self._inner.commit(expected)
            self._sink._unpack_stored(self._descriptor)
            return committed
        if self._failure is None:
            with self._failing():
                self._unpacking.end()
        if self._failure is not None:
            self._refuse(self._failure)
        with in_layer(self._descriptor.digest):
            committed = self._inner.commit(expected)
        with in_layer(self._descriptor.digest):
            self._unpacking.apply(self._descriptor)
        return committed

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            with in_layer(self._descriptor.digest):
                yield
        except TooLarge:
            raise  # there is no end to wait for
        except (Corrupt, Invalid, Unsupported) as error:
            self._failure = error

    def _refuse(self, failure: CortenError) -> NoReturn:
        """Raise what is wrong with the layer: that it is another one, or else `failure`."""
        failure.origin = "source"
        try:
            with in_layer(self._descriptor.digest):
                self._inner.verify()
        except Corrupt as error:
            raise error from failure
        if isinstance(failure, Corrupt) or "malformed" in failure.message:
            failure.hint = _MADE_SO
        raise failure

    def __enter__(self) -> Self:
        self._inner.__enter__()
        self.offset = self._inner.offset
        if self.offset == 0:
            self._unpacking = self._sink._unpacking(self._descriptor)
            self._unpacking.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._unpacking is not None:
                self._unpacking.__exit__(kind, error, trace)
        finally:
            self._inner.__exit__(kind, error, trace)


class _Unpacking:
    """Inflates a layer in the caller's thread; stores the tar in a second one, indexes it in a third."""

    def __init__(
        self, store: FactStore, snapshotter: Snapshotter, layer: Descriptor, limit: int
    ) -> None:
        self._store = store
        self._snapshotter = snapshotter
        self._layer = layer
        self._limit = limit
        self._head = b""
        self._compression = ""
        self._inflater: Inflater | None = None
        self._tar: Ingest | None = None
        self._feed: LayerFeed | None = None
        self._takers: list[_Taker] = []
        self._stack = ExitStack()

    def write(self, data: Buffer) -> None:
        """The next bytes as they came.  Raises: Corrupt, Invalid, Unsupported."""
        if self._inflater is None:
            self._head += bytes(data)
            if len(self._head) < MAGIC:
                return
            data, self._head = self._head, b""
            self._begin(data)
        assert self._inflater is not None
        self._inflater.feed(data if not isinstance(data, bytearray) else bytes(data))
        self._check()

    def end(self) -> None:
        """There are no more.  Raises: Corrupt: it ends early; Invalid, Unsupported."""
        if self._inflater is None:
            self._begin(self._head)
            assert self._inflater is not None
            self._inflater.feed(self._head)
        assert self._inflater is not None
        self._inflater.finish()
        self._join()
        self._check()
        if self._feed is not None:
            self._feed.end()

    def apply(self, committed: Descriptor) -> Digest:
        """Commit the tar, apply the layer, remember its diff id."""
        tar = committed if self._tar is None else self._tar.commit()
        path = self._store.locate(tar)
        if self._feed is not None:
            self._feed.finish(tar.digest, path)
        else:
            self._snapshotter.apply(tar.digest, path)
        if self._compression == "gzip" and self._store.recall(GZIP_FORM, tar.digest) is None:
            # An image that is built on this one leaves with the very blob that registries know.
            form = Descriptor(
                media_type=self._layer.media_type, digest=committed.digest, size=committed.size
            )
            self._store.remember(GZIP_FORM, tar.digest, canonical_json(form).decode())
        # Last: who is killed before this unpacks again, who finds it takes all else for done.
        self._store.remember(DIFF_ID, committed.digest, str.__str__(tar.digest))
        return tar.digest

    def _begin(self, head: Buffer) -> None:
        compression = self._compression = detect(bytes(head[:MAGIC]))
        self._inflater = inflater(compression, self._put, self._limit)
        if isinstance(self._snapshotter, Feeds):
            self._feed = self._stack.enter_context(self._snapshotter.feeding())
            self._takers.append(_Taker("corten-indexing", self._feed.feed))
        # A layer that came uncompressed is its own tar.
        if compression or self._layer.digest.algorithm != "sha256":
            self._tar = self._stack.enter_context(self._store.derive())
            self._takers.append(_Taker("corten-storing", self._tar.write))

    def _put(self, piece: bytes) -> None:
        self._check()
        for taker in self._takers:
            taker.pieces.put(piece)

    def _check(self) -> None:
        for taker in self._takers:
            if taker.failure is not None:
                raise taker.failure

    def _join(self) -> None:
        for taker in self._takers:
            taker.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._join()
        self._stack.__exit__(kind, error, trace)


class _Taker:
    """A thread that hands pieces to `take`, until that fails or :meth:`end`.

    After a ``failure`` it swallows what comes, so that whoever puts is never stuck.
    """

    def __init__(self, name: str, take: Callable[[bytes], object]) -> None:
        self.pieces: BoundedQueue[bytes | None] = BoundedQueue(_DEPTH)
        self.failure: BaseException | None = None
        self._take = take
        self._thread: threading.Thread | None = threading.Thread(
            target=self._run, name=name, daemon=True
        )
        self._thread.start()

    def end(self) -> None:
        """There are no more pieces; returns when the last was taken."""
        if self._thread is not None:
            self.pieces.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        try:
            while (piece := self.pieces.get()) is not None:
                self._take(piece)
        except BaseException as error:
            self.failure = error
            while self.pieces.get() is not None:
                pass
