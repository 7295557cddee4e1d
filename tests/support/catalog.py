"""Images without layers to carry: real documents in a real store, for listings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from corten.content.local import LocalStore
from corten.oci import media
from corten.oci.descriptor import Descriptor, describe
from corten.oci.digest import Digest
from corten.oci.image_config import ImageConfig, RootFS, encode_config
from corten.oci.manifest import build_manifest


def write_images(root: Path, images: Iterable[tuple[str, str, int]]) -> list[str]:
    """Images of (canonical name or empty, creation time, size), the first the newest here.

    The layer is a foreign one, which need not be there.  Returns the image IDs.
    """
    ids = []
    with LocalStore(root) as store:
        for name, created, size in reversed(list(images)):
            layer = Descriptor(
                media_type=media.OCI_NONDISTRIBUTABLE, digest=Digest.of(b"%d" % size), size=size
            )
            rootfs = RootFS((layer.digest,))
            config = ImageConfig(architecture="amd64", os="linux", created=created, rootfs=rootfs)
            described = put(store, encode_config(config), media.OCI_CONFIG)
            manifest = put(store, build_manifest(described, [layer])[1], media.OCI_MANIFEST)
            store.tag(name, manifest)
            ids.append(str(described.digest))
    return ids[::-1]


def put(store: LocalStore, data: bytes, media_type: str) -> Descriptor:
    """Take a small blob."""
    descriptor = describe(data, media_type)
    with store.ingest(descriptor) as ingest:
        ingest.write(data)
        ingest.commit()
    return descriptor
