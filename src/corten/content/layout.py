"""`OCILayout`: a directory in the form of an OCI image layout, as a source and sink.

Spec: OCI image, image-layout.md.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path

from corten.content.blobs import BlobDirectory, missing
from corten.content.index_file import (
    describe_name,
    name_of,
    read_index,
    write_index,
    write_marker,
)
from corten.content.ingest import PARTIAL_AGE, FileIngest
from corten.errors import Invalid, NotFound
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.oci.manifest import Index
from corten.system.locks import directory_locked


class OCILayout:
    """The layout in the directory `path`: Source, Sink, Locates, ListsTags.  Thread-safe.

    Names are those of ``index.json`` (``org.opencontainers.image.ref.name``).  It is
    made by the first thing that is put into it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.blobs = BlobDirectory(path)

    def resolve(self, name: str) -> Descriptor:
        """What ``index.json`` or a digest says.  Raises: NotFound; Invalid: malformed."""
        manifests = self._index().manifests
        for descriptor in manifests:
            if name and name in (name_of(descriptor), descriptor.digest):
                return describe_name(descriptor, "")
        with suppress(Invalid):
            if (found := self.blobs.typed(Digest(name))) is not None:
                return found
        raise NotFound(f"there is no '{name}' in the layout '{self.path}'")

    def roots(self) -> tuple[Descriptor, ...]:
        """What ``index.json`` lists, annotations and all.  Raises: NotFound, Invalid."""
        return self._index().manifests

    def open(self, descriptor: Descriptor, offset: int = 0) -> FileIO:
        """The blob's file, from `offset` on.  Raises: NotFound."""
        return self.blobs.open(descriptor.digest, offset)

    def locate(self, descriptor: Descriptor) -> Path:
        """The blob's file.  Raises: NotFound."""
        return self.blobs.locate(descriptor.digest)

    def tags(self) -> Iterator[str]:
        """All names, in order."""
        yield from sorted({name for d in self._index().manifests if (name := name_of(d))})

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the blob is there, with this size."""
        return self.blobs.has(descriptor)

    def ingest(self, descriptor: Descriptor | None = None, name: str = "") -> FileIngest:
        """Begin to take a blob.  Raises: Invalid, Unavailable."""
        return self.blobs.ingest(descriptor)

    def tag(self, name: str, descriptor: Descriptor) -> None:
        """List `descriptor` in ``index.json``, under `name` unless that is empty.

        Raises: NotFound: the blob is not there.
        """
        if not self.blobs.has(descriptor):
            raise missing(descriptor.digest)
        with directory_locked(self.path):
            write_marker(self.path)
            listed: list[Descriptor] = []
            if (self.path / "index.json").exists():
                listed = list(self._index().manifests)
            if name:
                listed = [d for d in listed if name_of(d) != name]
            elif any(d.digest == descriptor.digest for d in listed):
                return
            write_index(self.path, [*listed, describe_name(descriptor, name)])
        # Nobody else collects here what killed copies left.
        self.blobs.sweep_partials(time.time() - PARTIAL_AGE)
        # Now the directory holds the layout alone, unless something can be resumed.
        self.blobs.tidy()

    def _index(self) -> Index:
        return read_index(self.path)
