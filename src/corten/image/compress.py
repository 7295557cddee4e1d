"""Compressing an image that leaves: layers that were built here are plain tars until then.

For a registry they are sent while they are compressed: see :mod:`.outgoing`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack

import msgspec

from corten.content.graph import DEPTH_LIMIT, is_document, read_document
from corten.content.ingest import FileIngest
from corten.content.local import LocalStore
from corten.content.protocols import PIECE, Hosted, Sink, Streams
from corten.errors import CortenError, Invalid
from corten.events.job import Job
from corten.image.assemble import put
from corten.image.outgoing import Outgoing, outgoing
from corten.oci import media
from corten.oci.codec import canonical_json, convert, decode_object
from corten.oci.descriptor import Descriptor
from corten.oci.manifest import Index, build_index, build_manifest, parse_document
from corten.system.heap import keep_freed_memory

FACT = "compressed/gzip"
_GZIP_OF = {media.OCI_LAYER: media.OCI_LAYER_GZIP, media.DOCKER_LAYER: media.DOCKER_LAYER_GZIP}


def compressed(
    store: LocalStore, descriptor: Descriptor, job: Job, sink: Sink | None = None
) -> Descriptor:
    """The same image with gzip layers, for a registry or an OCI archive.

    The configuration, and so the image ID, stays.  A layer is compressed once
    (several at a time, one step of kind ``compress`` each) and remembered; the bytes
    depend on the tar alone.  A layer that came compressed leaves as it came.  An image that has no plain layer is returned as it is.
    Of an index, the images that are here are treated so, the others stay listed.

    A `sink` that takes blobs while they are made gets each layer that is compressed now, in a
    step of kind ``send``; `copy` then finds it there.  Its status is ``compressed`` where the
    sink failed meanwhile, so that `copy` has to send it.

    Raises: NotFound, Invalid, Corrupt, Unavailable, Cancelled; what the sink says to the
    beginning of an upload; Denied.
    """
    far = sink if isinstance(sink, Streams) else None
    with ThreadPoolExecutor(max(2, os.cpu_count() or 1), "corten-compress") as pool:
        return _Compression(store, job.scope(), pool, far).image(descriptor, 0)


class _Compression:
    def __init__(
        self, store: LocalStore, job: Job, pool: ThreadPoolExecutor, sink: Streams | None
    ) -> None:
        self._store = store
        self._job = job
        self._pool = pool
        self._sink = sink

    def image(self, descriptor: Descriptor, depth: int) -> Descriptor:
        if depth > DEPTH_LIMIT:
            raise Invalid(f"{descriptor.digest} is nested deeper than {DEPTH_LIMIT} levels")
        document = parse_document(read_document(self._store, descriptor), descriptor.media_type)
        if isinstance(document, Index):
            children = [
                self.image(child, depth + 1)
                if is_document(child) and self._store.has(child)
                else child
                for child in document.manifests
            ]
            if tuple(children) == document.manifests:
                return descriptor
            changed, raw = build_index(
                children, media_type=descriptor.media_type, annotations=document.annotations
            )
        else:
            layers = self._layers(document.layers)
            if layers == document.layers:
                return descriptor
            changed, raw = build_manifest(
                document.config,
                layers,
                media_type=descriptor.media_type,
                annotations=document.annotations,
            )
        put(self._store, changed, raw)
        # What an index says about its child (platform, annotations) stays true.
        return msgspec.structs.replace(descriptor, digest=changed.digest, size=changed.size)

    def _layers(self, layers: Sequence[Descriptor]) -> tuple[Descriptor, ...]:
        plain = {layer.digest: layer for layer in layers if layer.media_type in _GZIP_OF}
        futures = {digest: self._pool.submit(self._layer, layer) for digest, layer in plain.items()}
        try:
            for future in as_completed(futures.values()):
                future.result()
        except BaseException:
            for future in futures.values():
                future.cancel()
            self._job.cancel()  # what is half done is given up
            raise
        done = {digest: future.result() for digest, future in futures.items()}
        return tuple(
            done[layer.digest] if layer.media_type in _GZIP_OF else layer for layer in layers
        )

    def _layer(self, layer: Descriptor) -> Descriptor:
        known = self._recalled(layer)
        far = None if known else self._sink
        kind = "send" if far else "compress"
        with ExitStack() as stack:
            step = stack.enter_context(self._job.step(kind, str(layer.digest), layer.size))
            if known is not None:
                step.result("cached")
                return msgspec.structs.replace(known, media_type=_GZIP_OF[layer.media_type])
            upload = stack.enter_context(outgoing(far, step)) if far else None
            made = self._deflate(layer, step, upload)
            if upload is not None and not upload.commit(made.digest):
                step.result("compressed")
            elif isinstance(far, Hosted):
                self._store.remember("origin", made.digest, far.origin)
        return made

    def _deflate(self, layer: Descriptor, step: Job, upload: Outgoing | None) -> Descriptor:
        from corten.archive.compression import deflater

        keep_freed_memory(layer.size)
        # What is lost in a power cut is made again from the tar, byte by byte.
        with self._store.open(layer) as reader, self._store.derive() as ingest:
            stream = deflater("gzip", _both(ingest, upload))
            while piece := reader.read(PIECE):
                stream.feed(piece)
                step.advance(len(piece))
            stream.finish()
            made = ingest.commit()
        made = msgspec.structs.replace(made, media_type=_GZIP_OF[layer.media_type])
        self._store.remember("diff-id", made.digest, str(layer.digest))
        self._store.remember(FACT, layer.digest, canonical_json(made).decode())
        return made

    def _recalled(self, layer: Descriptor) -> Descriptor | None:
        fact = self._store.recall(FACT, layer.digest)
        if fact is None:
            return None
        try:
            known = convert(decode_object(fact.encode(), "fact", 65536), Descriptor, "fact")
        except CortenError:
            return None
        return known if self._store.has(known) else None


def _both(ingest: FileIngest, upload: Outgoing | None) -> Callable[[bytes], object]:
    """What takes the compressed bytes: the store, and a registry if there is one."""
    if upload is None:
        return ingest.write

    def write(data: bytes) -> None:
        ingest.write(data)
        upload.write(data)

    return write
