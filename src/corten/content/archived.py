"""What is common to image archives: a source of blobs that lie in a tar or are held as bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import NamedTuple

from corten.content.blobs import missing
from corten.content.protocols import BlobReader
from corten.content.tar_files import Place, TarFiles
from corten.errors import Invalid, NotFound
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.oci.reference import Reference

_LISTED = 5


class ArchivedImage(NamedTuple):
    """A root in an archive and its canonical names, perhaps none."""

    descriptor: Descriptor
    names: tuple[str, ...]


class Archive:
    """An archive of images: Source and ListsTags.  Thread-safe while its file is open."""

    def __init__(self, files: TarFiles) -> None:
        self.files = files
        self.images: list[ArchivedImage] = []
        self._held: dict[Digest, bytes] = {}
        self._places: dict[Digest, Place] = {}

    def resolve(self, name: str) -> Descriptor:
        """The image with that canonical name or digest.  Raises: NotFound."""
        for image in self.images:
            if name in image.names or name == image.descriptor.digest:
                return image.descriptor
        has = [
            known for image in self.images for known in image.names or (image.descriptor.digest,)
        ]
        more = f" and {len(has) - _LISTED} more" if len(has) > _LISTED else ""
        raise NotFound(
            f"there is no {name} in {self.files.what}",
            hint=f"it has {', '.join(has[:_LISTED]) or 'no images'}{more}",
        )

    def open(self, descriptor: Descriptor, offset: int = 0) -> BlobReader:
        """A reader from `offset` on; what the archive says is not verified.  Raises: NotFound."""
        held = self._held.get(descriptor.digest)
        if held is not None:
            if not 0 <= offset <= len(held):
                raise Invalid(f"offset {offset} lies outside of {descriptor.digest}")
            reader = io.BytesIO(held)
            reader.seek(offset)
            return reader
        place = self._place(descriptor.digest)
        if place is None:
            raise missing(descriptor.digest)
        return self.files.open(place, offset)

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the blob lies in the archive, with this size."""
        held = self._held.get(descriptor.digest)
        if held is not None:
            return len(held) == descriptor.size
        place = self._place(descriptor.digest)
        return place is not None and place.size == descriptor.size

    def tags(self) -> Iterator[str]:
        """All canonical names, in order."""
        yield from sorted(name for image in self.images for name in image.names)

    def _place(self, digest: Digest) -> Place | None:
        return self._places.get(digest)


def canonical(text: str) -> str:
    """A name out of an archive in canonical form.  Raises: Invalid."""
    return str(Reference.parse(text))
