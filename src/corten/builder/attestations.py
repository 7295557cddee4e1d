"""Attestations of an image: in-toto statements, stored in the index as BuildKit stores them.

Spec: BuildKit, docs/attestations/attestation-storage.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from corten.content.protocols import Sink
from corten.image.assemble import put
from corten.oci import media
from corten.oci.codec import canonical_json
from corten.oci.descriptor import Descriptor, describe
from corten.oci.manifest import Manifest
from corten.oci.platform import Platform

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
STATEMENT_MEDIA = "application/vnd.in-toto+json"
ARTIFACT = "application/vnd.docker.attestation.manifest.v1+json"
_KIND, _OF = "vnd.docker.reference.type", "vnd.docker.reference.digest"
_PREDICATE = "in-toto.io/predicate-type"
_NOWHERE = Platform(architecture="unknown", os="unknown")
_EMPTY = b"{}"


class Attestation(msgspec.Struct, frozen=True):
    """A predicate about an image: its type (a URI), the document, and a file name for it."""

    predicate_type: str
    predicate: Mapping[str, Any]
    filename: str


def statement(
    attestation: Attestation, subject: Descriptor, names: Sequence[str] = ()
) -> dict[str, Any]:
    """The in-toto statement: that the predicate is about the manifest `subject`, called `names`."""
    digest = {subject.digest.algorithm: subject.digest.encoded}
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": digest} for name in names or ("_",)],
        "predicateType": attestation.predicate_type,
        "predicate": attestation.predicate,
    }


def store_attestations(
    store: Sink, subject: Descriptor, attestations: Sequence[Attestation]
) -> Descriptor:
    """Store the manifest of all `attestations` of one image; returns its entry for the index."""
    layers = []
    for each in attestations:
        raw = canonical_json(statement(each, subject))
        notes = {_PREDICATE: each.predicate_type}
        layer = describe(raw, STATEMENT_MEDIA)
        put(store, layer, raw)
        layers.append(msgspec.structs.replace(layer, annotations=notes))
    config = describe(_EMPTY, media.OCI_EMPTY)
    put(store, config, _EMPTY)
    manifest = Manifest(
        schema_version=2,
        media_type=media.OCI_MANIFEST,
        artifact_type=ARTIFACT,
        config=msgspec.structs.replace(config, data="e30="),
        layers=tuple(layers),
        subject=Descriptor(media_type=subject.media_type, digest=subject.digest, size=subject.size),
    )
    raw = canonical_json(manifest)
    descriptor = describe(raw, media.OCI_MANIFEST)
    put(store, descriptor, raw)
    return msgspec.structs.replace(
        descriptor,
        platform=_NOWHERE,
        annotations={_KIND: "attestation-manifest", _OF: str(subject.digest)},
    )
