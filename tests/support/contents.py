"""Small blobs and images for tests of stores, and sources that misbehave on purpose."""

from __future__ import annotations

import io
import tarfile
from typing import NamedTuple

from corten.content.protocols import Sink, Source
from corten.oci import media
from corten.oci.descriptor import Descriptor, describe
from corten.oci.image_config import ContainerConfig, History, ImageConfig, RootFS, encode_config
from corten.oci.manifest import build_index, build_manifest
from corten.oci.platform import Platform

AMD64 = Platform(architecture="amd64", os="linux")
ARM64 = Platform(architecture="arm64", os="linux")


def tar_of(**files: bytes) -> bytes:
    """A tar with these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(data), 1_700_000_000
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def put(sink: Sink, data: bytes, media_type: str = media.OCTET_STREAM) -> Descriptor:
    """Bring one blob in."""
    descriptor = describe(data, media_type)
    with sink.ingest(descriptor) as ingest:
        ingest.write(memoryview(data)[ingest.offset :])
        ingest.commit()
    return descriptor


def read_all(source: Source, descriptor: Descriptor, offset: int = 0) -> bytes:
    """A blob's bytes, read in odd pieces."""
    pieces = []
    with source.open(descriptor, offset) as reader:
        while piece := reader.read(7919):
            pieces.append(piece)
    return b"".join(pieces)


class PlainImage(NamedTuple):
    """An image with plain tar layers, as a build makes it."""

    root: Descriptor
    config: Descriptor
    layers: tuple[Descriptor, ...]


def plain_image(
    sink: Sink, *contents: bytes, platform: Platform = AMD64, created: str = "2024-02-03T04:05:06Z"
) -> PlainImage:
    """Put an image with one layer for each of `contents` into `sink`."""
    layers = [put(sink, tar_of(file=data), media.OCI_LAYER) for data in contents]
    config = ImageConfig(
        architecture=platform.architecture,
        os=platform.os,
        created=created,
        rootfs=RootFS(tuple(layer.digest for layer in layers)),
        config=ContainerConfig(cmd=("/bin/true",), labels={"made.by": "a test"}),
        history=tuple(History(created=created, created_by=f"COPY {n}") for n in range(len(layers))),
    )
    described = put(sink, encode_config(config), media.OCI_CONFIG)
    root, raw = build_manifest(described, layers)
    put(sink, raw, root.media_type)
    return PlainImage(root, described, tuple(layers))


def index_of(sink: Sink, *children: tuple[PlainImage, Platform]) -> Descriptor:
    """Put an index of images into `sink`."""
    listed = [
        Descriptor(
            media_type=image.root.media_type,
            digest=image.root.digest,
            size=image.root.size,
            platform=platform,
        )
        for image, platform in children
    ]
    root, raw = build_index(listed)
    return put(sink, raw, root.media_type)
