"""Image archives made by hand, well-formed or not."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

from corten.oci.digest import Digest
from support.contents import tar_of


def write_tar(file: Path, *members: tuple[str, bytes | tarfile.TarInfo]) -> Path:
    """A tar with these members, in order; a TarInfo is a member without content (a link)."""
    with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in members:
            if isinstance(content, tarfile.TarInfo):
                content.name = name
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file


def link(target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    """A link member."""
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, target
    return info


LAYER = tar_of(file=b"content of the layer")


def config_of(*layers: bytes) -> bytes:
    """The configuration of an image with these plain layers."""
    return json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [Digest.of(layer) for layer in layers]},
        }
    ).encode()


def manifest_of(
    config: str = "config.json",
    layers: tuple[str, ...] = ("layer.tar",),
    tags: tuple[str, ...] | None = ("example/thing:1",),
) -> bytes:
    """A manifest.json of one image."""
    return json.dumps([{"Config": config, "RepoTags": tags, "Layers": list(layers)}]).encode()
