"""Making an image out of a configuration and layers that are in a store already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from corten.content.graph import write_document
from corten.content.protocols import Locates, Sink
from corten.errors import Invalid, NotFound
from corten.oci import media
from corten.oci.descriptor import Descriptor, describe
from corten.oci.digest import Digest
from corten.oci.image_config import ImageConfig, encode_config
from corten.oci.manifest import build_manifest


class Assembling(Sink, Locates, Protocol):
    """What making an image needs of the store."""


def assemble(
    store: Assembling,
    config: ImageConfig,
    original: Mapping[str, Any] | None = None,
    layers: Sequence[Descriptor] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Descriptor:
    """Write the configuration and the manifest of a new image; returns the manifest's descriptor.

    `original` is the document that `config` was made from: its unknown fields are
    kept.  `layers` are the blobs for the configuration's diff ids; without them
    the image has the plain tars.  `annotations` are the manifest's.  The same arguments give
    the same digest.

    Raises: NotFound: a layer is not in `store`; Invalid: `layers` are not as many as
    the diff ids.
    """
    if layers is None:
        layers = [plain_layer(store, diff_id) for diff_id in config.diff_ids]
    if len(config.diff_ids) != len(layers):
        raise Invalid(
            f"an image of {len(layers)} layers has a configuration for {len(config.diff_ids)}"
        )
    for layer in layers:
        if not store.has(layer):
            raise NotFound(f"there is no layer {layer.digest}")
    raw = encode_config(config, original)
    described = describe(raw, media.OCI_CONFIG)
    descriptor, manifest = build_manifest(described, layers, annotations=annotations)
    put(store, described, raw)
    put(store, descriptor, manifest)
    return descriptor


def plain_layer(store: Locates, diff_id: Digest) -> Descriptor:
    """The layer's tar in `store` as a manifest names it.  Raises: NotFound."""
    layer = Descriptor(media_type=media.OCI_LAYER, digest=diff_id, size=0)
    return msgspec.structs.replace(layer, size=store.locate(layer).stat().st_size)


def put(sink: Sink, descriptor: Descriptor, data: bytes) -> None:
    """Store a document that is held in memory, unless it is there.  Raises: Unavailable."""
    if not sink.has(descriptor):
        write_document(sink, descriptor, data)
