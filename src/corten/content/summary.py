"""What the catalog keeps of an image, found by reading its documents."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import NamedTuple

from corten.content.blobs import BlobDirectory, missing
from corten.errors import Invalid, NotFound
from corten.oci import media
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.oci.image_config import CONFIG_LIMIT, parse_config
from corten.oci.manifest import MANIFEST_LIMIT, Document, Index, Manifest, parse_document
from corten.oci.platform import Platform


class Summary(NamedTuple):
    """Facts about a root: its image ID, RFC 3339 creation time, bytes of its layers."""

    image_id: Digest
    created: str
    layers_size: int


def summarize(blobs: BlobDirectory, root: Descriptor, platform: Platform) -> Summary:
    """The summary of `root`, of an index that of its image for `platform`.

    Raises: NotFound: it, or a child of its manifest, is not there; Invalid: malformed.
    """
    if root.media_type not in media.DOCUMENTS:
        raise Invalid(f"{root.digest} is a {root.media_type}, which cannot have a name")
    document = _read(blobs, root)
    if isinstance(document, Index):
        if not document.manifests:
            return Summary(root.digest, "", 0)
        return summarize(blobs, image_manifest(blobs, root, platform), platform)
    for descriptor in document.children:
        digest = descriptor.digest
        if media.is_foreign(descriptor.media_type):
            continue
        # Used first, then looked at: what is there now stays.
        if not blobs.touch(digest) or blobs.size_or_none(digest) is None:
            raise missing(digest, blobs.hint)
    return _summarize_manifest(blobs, document)


def settle_content(blobs: BlobDirectory, root: Descriptor) -> None:
    """See that all that is here of what `root` names is on disk, whatever it was derived from.

    That may go now, as far as `root` is concerned.  Raises: Invalid; Unavailable.
    """
    for descriptor in _read(blobs, root).children:
        with suppress(NotFound):  # an index need not have all of its images here
            blobs.settle(descriptor.digest)
            if descriptor.media_type in media.DOCUMENTS:
                settle_content(blobs, descriptor)


class RootRows(NamedTuple):
    """What the catalog's tables ``images`` and ``names`` keep of a named root."""

    image: tuple[str, str, int, str, str, int, float]
    name: tuple[str, str, str, str, int, float]


def rows_of(blobs: BlobDirectory, root: Descriptor, name: str, platform: Platform) -> RootRows:
    """The rows that let `name` (empty: none) stand for `root` from now on.  Raises: as `summarize`."""
    summary = summarize(blobs, root, platform)
    columns = (str(root.digest), str(root.media_type), root.size)
    now = time.time()
    return RootRows((*columns, *summary, now), (name, repository_of(name), *columns, now))


def repository_of(name: str) -> str:
    """A name without its tag or digest."""
    bare = name.partition("@")[0]
    path, colon, tag = bare.rpartition(":")
    return path if colon and "/" not in tag else bare


def image_manifest(blobs: BlobDirectory, root: Descriptor, platform: Platform) -> Descriptor:
    """The manifest of the image that `root` stands for here.

    Of an index that is the one for `platform`, else the first of those that are there.
    Raises: NotFound: none is; Invalid: malformed.
    """
    if root.media_type not in media.INDEXES:
        return root
    document = _read(blobs, root)
    child = _child(blobs, document, platform) if isinstance(document, Index) else root
    if child is None:
        raise NotFound(f"none of the images that {root.digest} lists is there")
    return child


def _read(blobs: BlobDirectory, descriptor: Descriptor) -> Document:
    blobs.touch(descriptor.digest)
    return parse_document(blobs.read(descriptor.digest, MANIFEST_LIMIT), descriptor.media_type)


def _child(blobs: BlobDirectory, index: Index, platform: Platform) -> Descriptor | None:
    chosen = index.select(platform)
    candidates = [d for d in index.manifests if d.media_type in media.MANIFESTS]
    for descriptor in [chosen, *candidates] if chosen is not None else candidates:
        if descriptor.media_type in media.MANIFESTS and blobs.has(descriptor):
            return descriptor
    return None


def _summarize_manifest(blobs: BlobDirectory, manifest: Manifest) -> Summary:
    sizes = [layer.size for layer in manifest.layers]
    created = ""
    if manifest.config.media_type in media.CONFIGS:
        config = parse_config(blobs.read(manifest.config.digest, CONFIG_LIMIT))
        created = config.created
        if len(config.diff_ids) == len(sizes):
            # What people ask for is what the image takes unpacked: the size of the tars.
            for at, diff_id in enumerate(config.diff_ids):
                blobs.touch(diff_id)
                tar = blobs.size_or_none(diff_id)
                sizes[at] = sizes[at] if tar is None else tar
    return Summary(manifest.config.digest, created, min(sum(sizes), 2**63 - 1))
