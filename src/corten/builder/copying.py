"""COPY and ADD: from sources to the entries of a layer, and to the digest of what was read.

Spec: Dockerfile reference, "COPY" and "ADD", sections "Source" and "Destination".
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from corten.archive.entry import NO_XATTRS, Entry, Kind
from corten.builder.archives import NewFile, Room, is_archive, unpack
from corten.builder.cache import BuildCache
from corten.builder.graph import Copy
from corten.builder.hashes import FileHashes, hash_file
from corten.builder.layers import LayerWriter, Owner, find_owner
from corten.builder.tree import Found, Tree, encoded
from corten.builder.walk import Item, single, walk
from corten.config.limits import layer_limit
from corten.errors import Conflict, Invalid, NotFound
from corten.events.job import Job

_SMALL = 1024 * 1024
_NOTES = 256
_SECOND = 1_000_000_000
_KINDS: Mapping[int, Kind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
}


class Sources(NamedTuple):
    """Where a copy's files come from.

    ``keep_owner``: owners and attributes are part of what is copied (a stage or
    image; the context's are not).  ``hashes`` remembers digests, for the context.
    """

    tree: Tree
    keep_owner: bool
    hashes: FileHashes | None
    cache: BuildCache
    new_file: NewFile
    environ: Mapping[str, str]


def content_digest(op: Copy, sources: Sources, job: Job) -> str:
    """The digest of all that the copy would take: names, kinds, modes, content; not times.

    Raises: as :func:`write_copy`.
    """
    copying = _Copying(op, sources, job)
    copying.sources(None)
    return copying.digest()


def write_copy(op: Copy, sources: Sources, layer: LayerWriter, below: Tree | None, job: Job) -> str:
    """Put what the copy takes into `layer`; returns the digest of exactly that.

    Raises: NotFound: a source is not there; Invalid: it cannot be copied to
    where it should; Conflict: a file changed while it was read.
    """
    layer.owner = find_owner(op.chown, below)
    copying = _Copying(op, sources, job)
    copying.sources(layer)
    return copying.digest()


class _Copying:
    """One pass over the sources: always to the hasher, and to a layer if there is one."""

    def __init__(self, op: Copy, sources: Sources, job: Job) -> None:
        self.op = op
        self.given = sources
        self.job = job
        self.hasher = hashlib.sha256(usedforsecurity=False)
        self.notes: list[bytes] = []
        self.mode = int(op.chmod, 8) if op.chmod else None
        self.links: dict[tuple[int, int], tuple[str, str]] = {}
        self.base = ""
        self.into = False

    def digest(self) -> str:
        self.settle()
        return self.hasher.hexdigest()

    def note(self, *fields: str | bytes | int) -> None:
        # Lengths keep neighbouring fields apart, whatever bytes a name has.
        notes = self.notes
        for field in fields:
            if isinstance(field, str):
                raw = encoded(field)
            else:
                raw = field if isinstance(field, bytes) else b"%d" % field
            notes.append(b"%d:%b" % (len(raw), raw))
        if len(notes) > _NOTES:
            self.settle()

    def settle(self) -> None:
        """Hash what was noted, many notes at once: there are several for each file."""
        self.job.check()
        self.hasher.update(b"".join(self.notes))
        self.notes.clear()

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
            self.note("source", number)
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

        given = self.given
        arguments = (url, given.cache, given.new_file, given.environ, self.job)
        fetched = downloads.look(*arguments) if layer is None else downloads.fetch(*arguments)
        self.note("url", url, fetched.digest)
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
            self.note("directory")
            self.tree(layer, walk(tree, found.path))
            return
        for item in single(tree, found):
            if self.op.add and not self.op.from_input and self.archive(layer, item):
                continue
            self.item(layer, item, self.place(found.name))

    def archive(self, layer: LayerWriter | None, item: Item) -> bool:
        """Unpack the item if it is an archive."""
        if not stat.S_ISREG(item.state.st_mode):
            return False
        if layer is None:
            # Whether it is one follows from its content, which is noted like any file's.
            return False
        fd = item.open()
        try:
            if not is_archive(fd):
                return False
            if layer.below(self.base) == "other":
                raise Invalid(f"cannot unpack {item.source}: {self.op.destination} is a file")
            self.note("file", item.path, item.state.st_mode & 0o7777, hash_file(fd))
            layer.directory(self.base)
            owner = layer.owner if self.op.chown else None
            room = Room(self.given.new_file, layer_limit(self.given.environ))
            unpack(fd, self.base, layer, owner, room, self.job)
            layer.newest = max(layer.newest, int(item.state.st_mtime))
            return True
        finally:
            os.close(fd)

    def tree(self, layer: LayerWriter | None, items: Iterator[Item]) -> None:
        places = {"": self.base}
        if layer is not None:
            layer.directory(self.base)
        for item in items:
            parent, _, name = item.path.rpartition("/")
            place = ""
            if layer is not None:
                place = f"{places[parent]}/{name}".lstrip("/")
                if item.is_directory:
                    # A link to a directory below (as /lib often is) is copied through.
                    through = layer.directory_link(place)
                    places[item.path] = through if through is not None else place
                    if through is not None:
                        self.item(None, item, place)
                        continue
            self.item(layer, item, place)

    def item(self, layer: LayerWriter | None, item: Item, place: str) -> None:
        """Note one thing, and put it into the layer."""
        state = item.state
        kind = _KINDS.get(stat.S_IFMT(state.st_mode))
        if kind is None:
            raise Invalid(f"{item.source} is a socket, which cannot be copied")
        keep = self.given.keep_owner
        mode = state.st_mode & 0o7777
        self.note(kind, item.path, mode)
        xattrs: Mapping[str, bytes] = NO_XATTRS
        if keep:
            if kind in ("file", "directory"):
                xattrs = item.attributes() or NO_XATTRS
            self.note(
                state.st_uid, state.st_gid, *(part for pair in xattrs.items() for part in pair)
            )
        entry = None
        if layer is not None:
            owner = layer.owner
            if keep and not self.op.chown:
                owner = Owner(state.st_uid, state.st_gid)
            if kind == "symlink":
                mode = 0o777
            elif self.mode is not None:
                mode = self.mode
            entry = Entry(
                encoded(place),
                kind,
                mode,
                owner.uid,
                owner.gid,
                state.st_size if kind == "file" else 0,
                state.st_mtime_ns // _SECOND * _SECOND,
                xattrs=xattrs,
            )
        if kind == "file":
            self.file(layer, item, entry)
        elif kind == "symlink":
            target = item.link()
            self.note(target)
            self.put(layer, entry, linkname=encoded(target))
        elif kind in ("char", "block"):
            major, minor = os.major(state.st_rdev), os.minor(state.st_rdev)
            self.note(major, minor)
            self.put(layer, entry, major=major, minor=minor)
        elif layer is not None and entry is not None:
            layer.put(entry)

    def put(self, layer: LayerWriter | None, entry: Entry | None, **more: object) -> None:
        if layer is not None and entry is not None:
            layer.put(_changed(entry, **more))

    def file(self, layer: LayerWriter | None, item: Item, entry: Entry | None) -> None:
        state = item.state
        if state.st_nlink > 1:
            place = os.fsdecode(entry.name) if entry is not None else ""
            first = self.links.setdefault((state.st_dev, state.st_ino), (item.source, place))
            if first[0] != item.source:
                self.note("link", first[0])
                linkname = os.fsencode(first[1])
                # With the file's metadata: engines give it to the file once more.
                self.put(layer, entry, kind="link", size=0, linkname=linkname)
                return
        hashes = self.given.hashes
        if layer is None and hashes is not None:
            known = hashes.find(item.source, state)
            if known is not None:
                self.note(known)
                return
        fd = item.open()
        try:
            self.note(self.read(layer, item, entry, fd))
        finally:
            os.close(fd)

    def read(self, layer: LayerWriter | None, item: Item, entry: Entry | None, fd: int) -> bytes:
        """Read a file once or twice: hash it, and write it.  Returns its SHA-256."""
        state, size = item.state, item.state.st_size
        if layer is None or entry is None:
            digest = hash_file(fd)
        elif size <= _SMALL:
            data = _all(fd, size)
            if len(data) < size:  # it shrank; files of /sys always do that
                raise Conflict(
                    f"{item.source} holds {len(data)} bytes, its size is {size}", hint="build again"
                )
            digest = hashlib.sha256(data, usedforsecurity=False).digest()
            layer.put(entry, data)
        else:
            digest = hash_file(fd)
            layer.put(entry, fd)
        # What was read must be what was listed, from the first look at it to the last.
        after = os.fstat(fd)
        if (
            after.st_mtime_ns != state.st_mtime_ns
            or after.st_size != size
            or after.st_mode != state.st_mode
        ):
            raise Conflict(f"{item.source} changed while it was read", hint="build again")
        if self.given.hashes is not None:
            self.given.hashes.keep(item.source, after, digest)
        return digest


def _all(fd: int, size: int) -> bytes:
    data = os.read(fd, size) if size else b""
    while len(data) < size:
        piece = os.read(fd, size - len(data))
        if not piece:
            break
        data += piece
    return data


def _sized(entry: Entry, size: int) -> Entry:
    return _changed(entry, size=size)


def _changed(entry: Entry, **fields: object) -> Entry:
    return msgspec.structs.replace(entry, **fields)
