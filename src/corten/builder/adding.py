"""What only ADD does: content of URLs, and archives that are unpacked.

Spec: Dockerfile reference, "ADD".
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, BinaryIO

from corten.archive.entry import Entry
from corten.builder import downloads
from corten.builder.archives import Room, is_archive, unpack
from corten.builder.downloads import Means
from corten.builder.graph import Copy
from corten.builder.hashes import hash_file
from corten.builder.layers import LayerWriter
from corten.builder.modes import parse_mode
from corten.builder.notes import Notes
from corten.builder.walk import Item
from corten.config.limits import layer_limit
from corten.errors import Conflict, Invalid
from corten.events.job import Job

if TYPE_CHECKING:
    from corten.builder.copying import Aim

_SECOND = 1_000_000_000


class Adder:
    """Carries out one ADD; everything goes to the notes, and to a layer if there is one."""

    def __init__(self, op: Copy, means: Means | None, notes: Notes, job: Job) -> None:
        self._op = op
        self._given = means
        self._notes = notes
        self._job = job

    @property
    def _means(self) -> Means:
        if self._given is None:
            # It was made for directories alone, and one of them is a file by now.
            raise Conflict(
                "a directory that ADD names changed while it was read", hint="build again"
            )
        return self._given

    def url(self, layer: LayerWriter | None, url: str, aim: Aim) -> None:
        """The content of a URL.  Raises: as `downloads.fetch`, `put`, `unpack`."""
        asked = downloads.Asked(url, self._op.checksum)
        if layer is None:
            fetched = downloads.look(asked, self._means, self._job)
        else:
            fetched = downloads.fetch(asked, self._means, self._job)
        self._notes.add("url", url, fetched.digest)
        if fetched.file is None:
            return
        with fetched.file as file:
            if layer is None:
                return
            if self._op.unpack and is_archive(file.fileno()):
                self._unpack(layer, file.fileno(), url, aim.base)
                layer.newest = max(layer.newest, fetched.modified)
            else:
                self._file(layer, url, aim, (file, fetched.modified))

    def _file(self, layer: LayerWriter, url: str, aim: Aim, content: tuple[BinaryIO, int]) -> None:
        file, modified = content
        place = aim.place(downloads.url_name(url)) if aim.into else aim.base
        chmod = self._op.chmod
        mode = parse_mode(chmod)(0o600, False) if chmod else 0o600
        size = os.fstat(file.fileno()).st_size
        entry = Entry(os.fsencode(place), "file", mode, *layer.owner, size, modified * _SECOND)
        layer.put(entry, file.fileno() if size else b"")

    def archive(self, layer: LayerWriter, item: Item, aim: Aim) -> bool:
        """Unpack a file if it is an archive; returns whether it is.  Raises: as `unpack`."""
        if not stat.S_ISREG(item.state.st_mode):
            return False
        fd = item.open()
        try:
            if not is_archive(fd):
                return False
            self._notes.add("file", item.path, item.state.st_mode & 0o7777, hash_file(fd))
            self._unpack(layer, fd, item.source, aim.base)
            layer.newest = max(layer.newest, int(item.state.st_mtime))
            return True
        finally:
            os.close(fd)

    def _unpack(self, layer: LayerWriter, fd: int, source: str, base: str) -> None:
        # As docker does, --chmod leaves what is in archives alone.
        if layer.below(base) == "other":
            raise Invalid(f"cannot unpack {source}: {self._op.destination} is a file")
        layer.directory(base)
        owner = layer.owner if self._op.chown else None
        room = Room(self._means.new_file, layer_limit(self._means.environ))
        unpack(fd, base, layer, owner, room, self._job)
