"""`DockerArchive`: what `docker save` writes, as a source of OCI images.

A tar with ``manifest.json``: for each image its configuration, names and layers.
It has no manifests, so one is made for each image.  Spec: Docker image
specification v1.2, "Combined Image JSON + Filesystem Changeset Format".
"""

from __future__ import annotations

import re

import msgspec

from corten.archive.compression import MAGIC, detect
from corten.content.archived import Archive, ArchivedImage, canonical
from corten.content.protocols import PIECE
from corten.content.tar_files import Place, TarFiles
from corten.errors import Corrupt, Invalid, Unsupported
from corten.oci import media
from corten.oci.descriptor import Descriptor, describe
from corten.oci.digest import Digest, new_hasher
from corten.oci.image_config import CONFIG_LIMIT, parse_config
from corten.oci.manifest import MANIFEST_LIMIT, build_manifest

_IMAGES_LIMIT = 1000
_LAYERS_LIMIT = 1000
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MEDIA_TYPES = {"": media.OCI_LAYER, "gzip": media.OCI_LAYER_GZIP, "zstd": media.OCI_LAYER_ZSTD}


class _Item(msgspec.Struct, frozen=True, rename="pascal"):
    config: str
    repo_tags: tuple[str, ...] | None = None
    layers: tuple[str, ...] | None = None


class DockerArchive(Archive):
    """The images of `files`.

    An uncompressed layer is named by the diff id that the configuration says, so
    that reading it proves it.  Cost: a compressed layer is hashed beforehand.

    Raises: NotFound: no ``manifest.json``, or a file that it names is missing;
    Invalid: malformed; Unsupported: a compression that no media type can name.
    """

    def __init__(self, files: TarFiles) -> None:
        super().__init__(files)
        self._compressed: dict[Place, Descriptor] = {}
        for item in self._items():
            self.images.append(self._image(item))

    def _items(self) -> list[_Item]:
        raw = self.files.read("manifest.json", MANIFEST_LIMIT)
        try:
            items = msgspec.json.decode(raw, type=list[_Item])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Invalid(f"{self.files.what}: malformed manifest.json: {error}") from error
        if len(items) > _IMAGES_LIMIT:
            raise Invalid(f"{self.files.what}: manifest.json lists {len(items)} images")
        return items

    def _image(self, item: _Item) -> ArchivedImage:
        raw = self.files.read(item.config, CONFIG_LIMIT)
        self._prove(item.config, raw)
        config = parse_config(raw)
        paths = item.layers or ()
        if len(paths) != len(config.diff_ids) or len(paths) > _LAYERS_LIMIT:
            raise Invalid(
                f"{self.files.what}: manifest.json and an image's configuration differ in the"
                f" number of layers: {len(paths)} and {len(config.diff_ids)}"
            )
        layers = [
            self._layer(path, diff_id) for path, diff_id in zip(paths, config.diff_ids, strict=True)
        ]
        described = self._hold(raw, media.OCI_CONFIG)
        descriptor, manifest = build_manifest(described, layers)
        self._held[descriptor.digest] = manifest
        return ArchivedImage(descriptor, tuple(canonical(tag) for tag in item.repo_tags or ()))

    def _prove(self, path: str, raw: bytes) -> None:
        """A configuration is called by its digest, so what has another one was damaged.

        Nothing else proves it: the image's ID is made from it.  Raises: Corrupt.
        """
        stem = path.rpartition("/")[2].removesuffix(".json")
        if _HEX.fullmatch(stem) and (found := Digest.of(raw)).encoded != stem:
            raise Corrupt(f"{self.files.what}: the content of {path} is {found}")

    def _layer(self, path: str, diff_id: Digest) -> Descriptor:
        place = self.files.place(path)
        with self.files.open(place) as reader:
            compression = detect(reader.read(MAGIC))
        if compression not in _MEDIA_TYPES:
            raise Unsupported(f"{self.files.what}: the layer {path} is compressed by {compression}")
        if not compression:
            self._places[diff_id] = place
            return Descriptor(media_type=media.OCI_LAYER, digest=diff_id, size=place.size)
        if (known := self._compressed.get(place)) is None:
            known = self._compressed[place] = Descriptor(
                media_type=_MEDIA_TYPES[compression], digest=self._hash(place), size=place.size
            )
            self._places[known.digest] = place
        return known

    def _hash(self, place: Place) -> Digest:
        hasher = new_hasher()
        with self.files.open(place) as reader:
            while piece := reader.read(PIECE):
                hasher.update(piece)
        return Digest.from_hasher(hasher)

    def _hold(self, raw: bytes, media_type: str) -> Descriptor:
        descriptor = describe(raw, media_type)
        self._held[descriptor.digest] = raw
        return descriptor


def open_archive(files: TarFiles) -> Archive:
    """The images in `files`, an OCI layout or what `docker save` writes.

    Raises: Invalid: it is neither; what the two raise.
    """
    from corten.content.layout_archive import LayoutArchive

    if "oci-layout" in files and "index.json" in files:
        return LayoutArchive(files)
    if "manifest.json" in files:
        return DockerArchive(files)
    if "repositories" in files:
        raise Unsupported(
            f"{files.what} was saved by Docker before 1.10",
            hint="load and save it with a Docker between 1.10 and 24",
        )
    raise Invalid(
        f"{files.what} is no image archive: neither manifest.json nor index.json is in it",
        hint="a tar of a root file system is brought in by corten import",
    )
