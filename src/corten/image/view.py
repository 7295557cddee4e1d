"""`Image`: one image for one platform as a value, and what `inspect` and `history` show of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from corten.content.graph import DEPTH_LIMIT, read_document
from corten.content.protocols import Locates, Source
from corten.errors import Invalid, NotFound
from corten.oci import media
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.oci.image_config import CONFIG_LIMIT, ImageConfig, config_document, parse_config
from corten.oci.manifest import Index, Manifest, parse_document
from corten.oci.platform import Platform

EMPTY_TIME = "0001-01-01T00:00:00Z"
"""How Docker writes a time that is not known."""


class Image(msgspec.Struct, frozen=True):
    """An image: its manifest and configuration, parsed and as they came.

    ``document`` is the configuration with fields that corten does not know.
    """

    descriptor: Descriptor
    manifest: Manifest
    config: ImageConfig
    document: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"Image({self.id})"

    @property
    def id(self) -> Digest:
        """The image ID: the digest of the configuration."""
        return self.manifest.config.digest

    @property
    def layers(self) -> tuple[Descriptor, ...]:
        """The layers as the manifest has them, lowest first."""
        return self.manifest.layers

    @property
    def diff_ids(self) -> tuple[Digest, ...]:
        """The digests of the layers' tars, lowest first."""
        return self.config.diff_ids


def load_image(source: Source, descriptor: Descriptor, platform: Platform) -> Image:
    """The image that `descriptor` is, or that an index lists for `platform`.

    Raises: NotFound: a document is not there, or nothing fits the platform;
    Invalid: malformed, an artifact that is no image, or another number of layers
    than diff ids; Corrupt.
    """
    for _ in range(DEPTH_LIMIT):
        document = parse_document(read_document(source, descriptor), descriptor.media_type)
        if isinstance(document, Manifest):
            return _load(source, descriptor, document)
        descriptor = _chosen(document, descriptor, platform)
    raise Invalid(f"{descriptor.digest} is nested deeper than {DEPTH_LIMIT} levels")


def _chosen(index: Index, descriptor: Descriptor, platform: Platform) -> Descriptor:
    chosen = index.select(platform)
    if chosen is not None:
        return chosen
    listed = sorted({str(d.platform) for d in index.manifests if d.platform is not None})
    if not listed and len(index.manifests) == 1:
        return index.manifests[0]
    raise NotFound(
        f"{descriptor.digest} has no image for {platform}",
        hint=f"it has {', '.join(listed)}" if listed else "",
    )


def _load(source: Source, descriptor: Descriptor, manifest: Manifest) -> Image:
    if manifest.config.media_type not in media.CONFIGS:
        raise Invalid(
            f"{descriptor.digest} is no container image but"
            f" {manifest.artifact_type or manifest.config.media_type}"
        )
    raw = read_document(source, manifest.config, CONFIG_LIMIT)
    config = parse_config(raw)
    if len(config.diff_ids) != len(manifest.layers):
        raise Invalid(
            f"{descriptor.digest} and its configuration differ in the number of layers:"
            f" {len(manifest.layers)} and {len(config.diff_ids)}"
        )
    return Image(descriptor, manifest, config, config_document(raw))


def layer_sizes(store: Source, image: Image) -> tuple[int, ...]:
    """Bytes of each layer, lowest first: of its tar where the store has that."""
    sizes = [layer.size for layer in image.layers]
    if isinstance(store, Locates):
        for at, diff_id in enumerate(image.diff_ids):
            tar = Descriptor(media_type=media.OCI_LAYER, digest=diff_id, size=0)
            with suppress(NotFound):
                sizes[at] = store.locate(tar).stat().st_size
    return tuple(sizes)


def inspect_document(
    store: Source, image: Image, names: Sequence[str] = (), repo_digests: Sequence[str] = ()
) -> dict[str, Any]:
    """What `docker image inspect` shows of an image.

    `names` and `repo_digests` stand in it as they are given.
    Spec: Docker Engine API, ImageInspect.
    """
    config = image.config
    size = sum(layer_sizes(store, image))
    document: dict[str, Any] = {
        "Id": str(image.id),
        "RepoTags": list(names),
        "RepoDigests": list(repo_digests),
        "Parent": "",
        "Comment": config.history[-1].comment if config.history else "",
        "Created": config.created or EMPTY_TIME,
        "DockerVersion": image.document.get("docker_version") or "",
        "Author": config.author,
        "Config": _inspect_config(image),
        "Architecture": config.architecture,
        "Os": config.os,
        "Size": size,
        "VirtualSize": size,
        "RootFS": {"Type": "layers", "Layers": [str(d) for d in image.diff_ids]},
        "Descriptor": {
            "mediaType": image.descriptor.media_type,
            "digest": str(image.descriptor.digest),
            "size": image.descriptor.size,
        },
    }
    if config.variant:
        document["Variant"] = config.variant
    if config.os_version:
        document["OsVersion"] = config.os_version
    return document


def _inspect_config(image: Image) -> dict[str, Any]:
    """The execution parameters; the fields that every reader of Docker's output expects are there."""
    known: dict[str, Any] = {
        "User": "",
        "Env": None,
        "Cmd": None,
        "Volumes": None,
        "WorkingDir": "",
        "Entrypoint": None,
        "OnBuild": None,
        "Labels": None,
    }
    stated = image.document.get("config")
    return {**known, **stated} if isinstance(stated, dict) else known


class HistoryRow(NamedTuple):
    """A line of the history: ``image`` is an ID or ``<missing>``, ``size`` in bytes."""

    image: str
    created: str
    created_by: str
    size: int
    comment: str


MISSING = "<missing>"


def history_rows(store: Source, image: Image) -> list[HistoryRow]:
    """The history, newest first; only the newest line has an image ID."""
    rows: list[HistoryRow] = []
    sizes = iter(layer_sizes(store, image))
    for entry in image.config.history:
        size = 0 if entry.empty_layer else next(sizes, 0)
        rows.append(HistoryRow(MISSING, entry.created, entry.created_by, size, entry.comment))
    # A configuration need not tell about all of its layers.
    rows += [HistoryRow(MISSING, "", "", size, "") for size in sizes]
    rows.reverse()
    if rows:
        rows[0] = rows[0]._replace(image=str(image.id))
    return rows
