"""Media types.  Spec: OCI image, media-types.md; Docker's from manifest-v2-2.md."""

from __future__ import annotations

from typing import Final

OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
OCI_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_ZSTD: Final = "application/vnd.oci.image.layer.v1.tar+zstd"
OCI_EMPTY: Final = "application/vnd.oci.empty.v1+json"
OCI_NONDISTRIBUTABLE: Final = "application/vnd.oci.image.layer.nondistributable.v1.tar"

DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_SCHEMA1: Final = "application/vnd.docker.distribution.manifest.v1+json"
DOCKER_SCHEMA1_SIGNED: Final = "application/vnd.docker.distribution.manifest.v1+prettyjws"
DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP: Final = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_FOREIGN: Final = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"

OCTET_STREAM: Final = "application/octet-stream"

INDEXES: Final = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFESTS: Final = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
CONFIGS: Final = frozenset({OCI_CONFIG, DOCKER_CONFIG})
DOCUMENTS: Final = INDEXES | MANIFESTS
"""What a registry stores under ``/manifests/``: documents that name other content."""

_LAYERS: Final = (
    OCI_LAYER,
    OCI_NONDISTRIBUTABLE,
    DOCKER_LAYER,
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
)


def is_layer(media_type: str) -> bool:
    """Whether it is a filesystem layer, of whatever compression."""
    return media_type.startswith(_LAYERS)


def is_foreign(media_type: str) -> bool:
    """Whether it is a layer that must not be uploaded (media-types.md, "Non-distributable")."""
    return "nondistributable" in media_type or "foreign" in media_type


def compression(media_type: str) -> str:
    """The compression that a layer's media type promises: ``""``, ``"gzip"`` or ``"zstd"``."""
    for suffix, name in (
        ("+gzip", "gzip"),
        (".gzip", "gzip"),
        ("+zstd", "zstd"),
        (".zstd", "zstd"),
    ):
        if media_type.endswith(suffix):
            return name
    return ""
