"""COPY and ADD: from sources to the entries of a layer, and to the digest of what was read.

Spec: Dockerfile reference, "COPY" and "ADD", sections "Source" and "Destination".
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from corten.archive.entry import Entry, Kind
from corten.builder.graph import Copy
from corten.builder.hashes import Hashes, hash_file
from corten.builder.items import ItemCopier, Manner
from corten.builder.layers import LayerWriter, Owner, find_owner
from corten.builder.notes import Notes
from corten.builder.tree import Found, Tree
from corten.builder.walk import Item, single, walk
from corten.config.limits import layer_limit
from corten.errors import Conflict, Invalid, NotFound
from corten.events.job import Job

if TYPE_CHECKING:
    from corten.builder.archives import NewFile
    from corten.builder.cache import BuildCache

_SECOND = 1_000_000_000


class Means(NamedTuple):
    """What ADD of URLs and archives works with: what is known of URLs, and temporary files."""

    cache: BuildCache
    new_file: NewFile
    environ: Mapping[str, str]


class Sources(NamedTuple):
    """Where a copy's files come from.

    ``keep_owner``: owners and attributes are part of what is copied (a stage or
    image; the context's are not).  ``hashes`` remembers digests, for the context.
    Without ``means`` there are no URLs and archives.
    """

    tree: Tree
    keep_owner: bool
    hashes: Hashes | None
    means: Means | None


class Copied(NamedTuple):
    """What became of a copy: the digest of what it took, and the layer's newest time and entries."""

    digest: str
    newest: int
    entries: int


def content_digest(op: Copy, sources: Sources, job: Job) -> str:
    """The digest of all that the copy would take: names, kinds, modes, content; not times.

    Raises: as :func:`write_layer`.
    """
    copying = _Copying(op, sources, job)
    copying.sources(None)
    return copying.digest()


def write_layer(
    op: Copy, sources: Sources, write: Callable[[bytes], object], below: Tree | None, job: Job
) -> Copied:
    """Write what the copy takes as a layer's tar, which is to lie on `below`.

    Raises: NotFound: a source is not there; Invalid: it cannot be copied to where it
    should; Conflict: a file changed while it was read; Denied: it may not be read.
    """
    layer = LayerWriter(write, below, find_owner(op.chown, below), op.time)
    copying = _Copying(op, sources, job)
    copying.sources(layer)
    layer.finish()
    return Copied(copying.digest(), layer.newest, layer.count)


class _Copying:
    """One pass over the sources: always to the hasher, and to a layer if there is one."""

    def __init__(self, op: Copy, sources: Sources, job: Job) -> None:
        self.op = op
        self.given = sources
        self.job = job
        self.notes = Notes()
        self.items = ItemCopier(Manner(op, sources.keep_owner, sources.hashes), self.notes, job)
        self.mode = int(op.chmod, 8) if op.chmod else None
        self.base = ""
        self.into = False

    def digest(self) -> str:
        self.items.settle()
        return self.notes.hexdigest()

    def sources(self, layer: LayerWriter | None) -> None:
        op = self.op
        chosen = [(source, self.find(source)) for source in op.sources]
        files = [found for _, matches in chosen for found in matches]
        several = len(files) + len(op.inline) > 1
        if layer is not None:
            self.aim(layer, files, several)
        for inline in op.inline:
            self.inline(layer, inline.name, inline.content.encode())
        for number, (source, matches) in enumerate(chosen):
            self.notes.add("source", number)
            if "://" in source:
                self.url(layer, source)
            for found in matches:
                self.found(layer, found)
        if layer is not None and op.destination.endswith("/"):
            layer.directory(self.base)

    def find(self, source: str) -> list[Found]:
        if "://" in source:
            return []
        tree = self.given.tree
        found = tree.find(source)
        if not found:
            shown = source.lstrip("/")
            real = tree.resolve(source)
            hint = "the ignore file leaves it out" if tree.left_out(real) else ""
            raise NotFound(f"{shown} is not in {tree.label}", hint=hint)
        return found

    def aim(self, layer: LayerWriter, files: list[Found], several: bool) -> None:
        """Decide whether the destination is a directory to copy into, and where it really is."""
        wanted = self.op.destination
        self.base = layer.resolve(wanted)
        there = layer.below(self.base)
        directories = any(stat.S_ISDIR(found.state.st_mode) for found in files)
        self.into = wanted.endswith("/") or directories or there == "directory"
        if several and not self.into:
            raise Invalid(
                f"several files cannot be copied to {wanted}, which is not a directory",
                hint=f"write the destination as {wanted}/",
            )
        if self.into and there == "other":
            raise Invalid(f"the destination {wanted} is not a directory in the image")

    def place(self, name: str) -> str:
        return f"{self.base}/{name}".lstrip("/") if self.into else self.base

    def inline(self, layer: LayerWriter | None, name: str, content: bytes) -> None:
        # The content is part of the definition; there is nothing to note.
        if layer is not None:
            mode = 0o644 if self.mode is None else self.mode
            entry = self.entry(self.place(name), "file", mode, layer.owner, layer.time)
            layer.put(_sized(entry, len(content)), content)

    def url(self, layer: LayerWriter | None, url: str) -> None:
        from corten.builder import downloads

        means = self.means()
        arguments = (url, means.cache, means.new_file, means.environ, self.job)
        fetched = downloads.look(*arguments) if layer is None else downloads.fetch(*arguments)
        self.notes.add("url", url, fetched.digest)
        if fetched.file is None:
            return
        with fetched.file as file:
            if layer is None:
                return
            place = self.place(downloads.url_name(url)) if self.into else self.base
            mode = 0o600 if self.mode is None else self.mode
            entry = self.entry(place, "file", mode, layer.owner, fetched.modified)
            size = os.fstat(file.fileno()).st_size
            layer.put(_sized(entry, size), file.fileno() if size else b"")

    def means(self) -> Means:
        if self.given.means is None:
            # It was made for directories alone, and one of them is a file by now.
            raise Conflict(
                "a directory that ADD names changed while it was read", hint="build again"
            )
        return self.given.means

    def entry(self, path: str, kind: Kind, mode: int, owner: Owner, seconds: int) -> Entry:
        return Entry(
            name=os.fsencode(path),
            kind=kind,
            mode=mode,
            uid=owner.uid,
            gid=owner.gid,
            mtime_ns=seconds * _SECOND,
        )

    def found(self, layer: LayerWriter | None, found: Found) -> None:
        tree = self.given.tree
        if stat.S_ISDIR(found.state.st_mode):
            self.notes.add("directory")
            self.items.tree(layer, walk(tree, found.path), self.base)
            return
        for item in single(tree, found):
            if self.op.add and not self.op.from_input and self.archive(layer, item):
                continue
            self.items.item(layer, item, self.place(found.name))

    def archive(self, layer: LayerWriter | None, item: Item) -> bool:
        """Unpack the item if it is an archive."""
        if not stat.S_ISREG(item.state.st_mode):
            return False
        if layer is None:
            # Whether it is one follows from its content, which is noted like any file's.
            return False
        from corten.builder.archives import Room, is_archive, unpack

        fd = item.open()
        try:
            if not is_archive(fd):
                return False
            if layer.below(self.base) == "other":
                raise Invalid(f"cannot unpack {item.source}: {self.op.destination} is a file")
            self.notes.add("file", item.path, item.state.st_mode & 0o7777, hash_file(fd))
            layer.directory(self.base)
            owner = layer.owner if self.op.chown else None
            means = self.means()
            room = Room(means.new_file, layer_limit(means.environ))
            unpack(fd, self.base, layer, owner, room, self.job)
            layer.newest = max(layer.newest, int(item.state.st_mtime))
            return True
        finally:
            os.close(fd)


def _sized(entry: Entry, size: int) -> Entry:
    return msgspec.structs.replace(entry, size=size)
