"""Manifests and indexes: the documents that name other content.

A parsed document keeps the bytes it was parsed from, so that it is never
re-serialised into another digest and unknown fields survive.
Spec: OCI image, manifest.md and image-index.md; Docker: manifest-v2-2.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from corten.errors import Invalid, Unsupported
from corten.oci import media
from corten.oci.codec import canonical_json, convert, decode_object, to_plain
from corten.oci.descriptor import Descriptor, describe
from corten.oci.platform import Platform

MANIFEST_LIMIT = 4 * 1024 * 1024
"""Bytes; larger documents are refused.  Spec: OCI distribution, "Pushing Manifests" (>= 4 MiB)."""


class Manifest(msgspec.Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """An image manifest (or an artifact): a config and layers."""

    schema_version: int
    media_type: str = ""
    artifact_type: str = ""
    config: Descriptor
    layers: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    annotations: Mapping[str, str] = msgspec.field(default_factory=dict)

    @property
    def children(self) -> tuple[Descriptor, ...]:
        """What a complete copy has to bring along, config first.  The subject is not one."""
        return (self.config, *self.layers)


class Index(msgspec.Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """An image index (or Docker manifest list): manifests by platform."""

    schema_version: int
    media_type: str = ""
    artifact_type: str = ""
    manifests: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    annotations: Mapping[str, str] = msgspec.field(default_factory=dict)

    @property
    def children(self) -> tuple[Descriptor, ...]:
        """The manifests it lists, in order."""
        return self.manifests

    def select(self, wanted: Platform) -> Descriptor | None:
        """The first manifest for `wanted`; an exact variant is preferred to an open one."""
        fits = [d for d in self.manifests if d.platform is not None and d.platform.matches(wanted)]
        for descriptor in fits:
            if descriptor.platform is not None and descriptor.platform.variant == wanted.variant:
                return descriptor
        return fits[0] if fits else None


Document = Manifest | Index


def parse_document(raw: bytes, media_type: str = "") -> Document:
    """Parse a manifest or index.

    `media_type` is what the server or the descriptor said; where empty, the
    document's own ``mediaType`` or else its shape decides.

    Raises: Invalid: not JSON, wrong shape, or a media type that contradicts the
    document (spec: image-index.md, "mediaType"); Unsupported: Docker schema 1.
    """
    shape = decode_object(raw, "manifest", MANIFEST_LIMIT)
    kind = _kind(shape, media_type)
    document: Document = (
        convert(shape, Index, "manifest")
        if kind in media.INDEXES
        else convert(shape, Manifest, "manifest")
    )
    if document.schema_version != 2:
        raise Invalid(f"malformed manifest: schemaVersion is {document.schema_version}, not 2")
    return document


def detect_media_type(raw: bytes, declared: str = "") -> str:
    """The media type of a document: `declared`, else its own, else by its shape.  Raises: Invalid."""
    shape = decode_object(raw, "manifest", MANIFEST_LIMIT)
    return _kind(shape, declared)


def _kind(shape: dict[str, Any], declared: str) -> str:
    own = shape.get("mediaType") or ""
    if not isinstance(own, str):
        raise Invalid("malformed manifest: mediaType is not a string")
    if shape.get("schemaVersion") == 1 or declared.startswith(media.DOCKER_SCHEMA1):
        raise Unsupported(
            "this is a Docker schema 1 manifest, a format that was retired in 2017",
            hint="have the image pushed again by a current client",
        )
    if declared in media.DOCUMENTS and own in media.DOCUMENTS and own != declared:
        raise Invalid(f"malformed manifest: it says it is {own}, but was announced as {declared}")
    for candidate in (declared, own):
        if candidate in media.DOCUMENTS:
            if ("manifests" in shape) != (candidate in media.INDEXES) and (
                "manifests" in shape or "config" in shape
            ):
                raise Invalid(f"malformed manifest: its fields are not those of {candidate}")
            return candidate
    if "manifests" in shape and "config" not in shape and "layers" not in shape:
        return media.OCI_INDEX
    if "config" in shape and "manifests" not in shape:
        return media.OCI_MANIFEST
    raise Invalid("malformed manifest: neither an image manifest nor an index")


def build_manifest(
    config: Descriptor,
    layers: Sequence[Descriptor],
    *,
    media_type: str = media.OCI_MANIFEST,
    annotations: Mapping[str, str] | None = None,
) -> tuple[Descriptor, bytes]:
    """A new manifest's descriptor and bytes."""
    manifest = Manifest(
        schema_version=2,
        media_type=media_type,
        config=config,
        layers=tuple(layers),
        annotations=dict(annotations or {}),
    )
    raw = canonical_json(manifest)
    return describe(raw, media_type), raw


def index_bytes(
    manifests: Sequence[Descriptor],
    *,
    media_type: str = media.OCI_INDEX,
    annotations: Mapping[str, str] | None = None,
) -> bytes:
    """The bytes of a new index."""
    index = Index(
        schema_version=2,
        media_type=media_type,
        manifests=tuple(manifests),
        annotations=dict(annotations or {}),
    )
    # An index without manifests must still have the field (image-index.md, "manifests").
    return canonical_json({**to_plain(index), "manifests": to_plain(index.manifests)})


def build_index(
    manifests: Sequence[Descriptor],
    *,
    media_type: str = media.OCI_INDEX,
    annotations: Mapping[str, str] | None = None,
) -> tuple[Descriptor, bytes]:
    """A new index's descriptor and bytes."""
    raw = index_bytes(manifests, media_type=media_type, annotations=annotations)
    return describe(raw, media_type), raw
