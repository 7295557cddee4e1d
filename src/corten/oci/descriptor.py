"""Descriptors: typed, sized, content-addressed references.  Spec: OCI image, descriptor.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from corten.oci.digest import Digest
from corten.oci.platform import Platform


class Descriptor(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", kw_only=True):
    """What a piece of content is (media type), which (digest) and how long (bytes)."""

    media_type: str
    digest: Digest
    size: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    urls: tuple[str, ...] = ()
    annotations: Mapping[str, str] = msgspec.field(default_factory=dict)
    data: str = ""
    platform: Platform | None = None
    artifact_type: str = ""

    def __hash__(self) -> int:
        # Annotations are a dict; the digest identifies the content well enough for a hash.
        return hash(self.digest)

    def __str__(self) -> str:
        return str(self.digest)


def describe(data: bytes, media_type: str, algorithm: str = "sha256") -> Descriptor:
    """The descriptor of `data`."""
    return Descriptor(media_type=media_type, digest=Digest.of(data, algorithm), size=len(data))
