"""Small images made on the spot, of blobs that any client takes."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from typing import NamedTuple

from corten.content.protocols import Sink
from corten.oci import media
from corten.oci.descriptor import Descriptor, describe
from corten.oci.digest import Digest
from corten.oci.manifest import build_manifest


class SmallImage(NamedTuple):
    """An image and all its bytes, children first."""

    root: Descriptor
    blobs: tuple[tuple[Descriptor, bytes], ...]

    def push(self, sink: Sink, name: str) -> None:
        """Write it to a sink under `name`."""
        for descriptor, data in self.blobs:
            last = descriptor == self.root
            with sink.ingest(descriptor, name if last else "") as ingest:
                ingest.write(data)
                ingest.commit()
        sink.tag(name, self.root)


def small_image(*contents: bytes, media_types: str = "oci") -> SmallImage:
    """An image with one layer a content, each with a file of these bytes."""
    docker = media_types == "docker"
    layer_type = media.DOCKER_LAYER_GZIP if docker else media.OCI_LAYER_GZIP
    tars = [_tar(f"file{number}", content) for number, content in enumerate(contents)]
    layers = [gzip.compress(tar, 1, mtime=0) for tar in tars]
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": "2024-01-01T00:00:00Z",
            "config": {"Labels": {"made.by": "a test"}},
            "rootfs": {"type": "layers", "diff_ids": [Digest.of(tar) for tar in tars]},
            "history": [{"created_by": "test"} for _ in tars],
        }
    ).encode()
    described = [(describe(layer, layer_type), layer) for layer in layers]
    config_type = media.DOCKER_CONFIG if docker else media.OCI_CONFIG
    config_descriptor = describe(config, config_type)
    root, raw = build_manifest(
        config_descriptor,
        [descriptor for descriptor, _ in described],
        media_type=media.DOCKER_MANIFEST if docker else media.OCI_MANIFEST,
    )
    return SmallImage(root, (*described, (config_descriptor, config), (root, raw)))


def _tar(name: str, content: bytes) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return target.getvalue()
