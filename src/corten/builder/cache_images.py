"""Caches on their way: from a build's steps to a cache image, and back.

See :mod:`corten.builder.shared_cache`.
"""

from __future__ import annotations

from collections.abc import Iterable

from corten.builder.shared_cache import (
    ANNOTATION,
    DOCUMENT_LIMIT,
    MEDIA_TYPE,
    CacheDocument,
    Fetch,
    LostLayer,
    Made,
    SharedCache,
    read_document,
    write_document,
)
from corten.builder.stacks import Stacks
from corten.content import graph
from corten.content.copy import copy
from corten.content.local import LocalStore
from corten.content.protocols import Sink, Source
from corten.errors import Corrupt, Invalid, NotFound
from corten.events.job import Job
from corten.image.assemble import plain_layer, put
from corten.image.compress import compressed
from corten.oci import media
from corten.oci.descriptor import Descriptor, describe
from corten.oci.digest import Digest
from corten.oci.image_config import CONFIG_LIMIT, parse_config
from corten.oci.manifest import Index, Manifest, build_manifest, parse_document
from corten.snapshot.protocols import Snapshotter
from corten.snapshot.unpacking import DIFF_ID, UnpackingSink

_MANY = 100
"""How many images one name may stand for."""


def send_cache(
    made: Iterable[Made],
    stacks: Stacks,
    store: LocalStore,
    sink: Sink,
    name: str,
    job: Job,
) -> Descriptor:
    """Write the cache of the steps `made` to `sink` under `name`; what is there is not sent again.

    Raises: as :func:`corten.content.copy.copy`.
    """
    steps = list(made)
    named = {one.saved.layer for one in steps if one.saved.layer is not None}
    there = {
        layer: blob
        for layer in sorted(named)
        if not stacks.here(layer)
        and (blob := stacks.shared.blob(layer)) is not None
        and sink.has(blob)
    }
    ours = sorted(named - there.keys())
    for layer in ours:
        stacks.path(layer)
    plain = _manifest(store, b"{}", [plain_layer(store, layer) for layer in ours])
    packed = graph.read_document(store, compressed(store, plain, job, sink))
    manifest = parse_document(packed, media.OCI_MANIFEST)
    assert isinstance(manifest, Manifest)
    document = write_document(steps, (*ours, *there))
    root = _manifest(store, document, [*manifest.layers, *there.values()])
    return copy(store, sink, root, job, name=name)


def _manifest(store: LocalStore, document: bytes, layers: list[Descriptor]) -> Descriptor:
    config = describe(document, MEDIA_TYPE)
    put(store, config, document)
    root, raw = build_manifest(config, layers)
    put(store, root, raw)
    return root


def receive_cache(source: Source, root: Descriptor, fetch: Fetch) -> list[SharedCache]:
    """The caches of a cache image, or those that the images below `root` have inline.

    Raises: NotFound: it is an image without a cache; Invalid: malformed; what the source raises.
    """
    found: list[SharedCache] = []
    pending = [(root, 0)]
    seen = 0
    while pending:
        descriptor, depth = pending.pop()
        seen += 1
        if seen > _MANY:
            raise Invalid(f"{root.digest.short} lists more than {_MANY} images")
        raw = graph.read_document(source, descriptor)
        document = parse_document(raw, descriptor.media_type)
        if isinstance(document, Index):
            if depth >= graph.DEPTH_LIMIT:
                raise Invalid(f"{descriptor.digest} is nested deeper than {depth} levels")
            pending += [
                (child, depth + 1) for child in document.manifests if graph.is_document(child)
            ]
        else:
            found += _cache(source, document, fetch)
    if not found:
        raise NotFound(f"{root.digest.short} has no build cache of corten")
    return found


def _cache(source: Source, manifest: Manifest, fetch: Fetch) -> list[SharedCache]:
    if manifest.config.media_type == MEDIA_TYPE:
        raw = graph.read_document(source, manifest.config, DOCUMENT_LIMIT)
        return [_shared(read_document(raw), manifest, fetch)]
    inline = manifest.annotations.get(ANNOTATION)
    if inline is None or manifest.config.media_type not in media.CONFIGS:
        return []
    document = read_document(inline.encode())
    config = parse_config(graph.read_document(source, manifest.config, CONFIG_LIMIT))
    if document.layers != config.diff_ids:
        return []  # the image was changed since: nobody knows what its layers are now
    return [_shared(document, manifest, fetch)]


def _shared(document: CacheDocument, manifest: Manifest, fetch: Fetch) -> SharedCache:
    if len(document.layers) != len(manifest.layers):
        raise Invalid(
            f"malformed build cache: {len(document.layers)} layers, its manifest has"
            f" {len(manifest.layers)}"
        )
    return SharedCache(document, dict(zip(document.layers, manifest.layers, strict=True)), fetch)


class LayerFetch:
    """Brings layers from `source` into the store; a :class:`~corten.builder.shared_cache.Fetch`."""

    def __init__(
        self, source: Source, store: LocalStore, snapshotter: Snapshotter, limit: int
    ) -> None:
        self._source = source
        self._store = store
        self._sink = UnpackingSink(store, snapshotter, limit)

    def __call__(self, blob: Descriptor, layer: Digest, job: Job, /) -> None:
        """Raises: Corrupt: it unpacks to another layer; LostLayer; what else `copy` raises."""
        try:
            copy(self._source, self._sink, blob, job)
        except NotFound:
            raise LostLayer(
                f"a build cache has lost layer {layer.short}",
                hint="leave that cache out, or have it written anew",
            ) from None
        found = self._store.recall(DIFF_ID, blob.digest)
        if layer not in (found, blob.digest):
            raise Corrupt(
                f"layer {blob.digest.short} of a build cache unpacks to {found}, not to {layer}",
                hint="leave that cache out, and have it written anew",
            )
