"""From things that were found to notes of them, and to entries of a layer.

This runs once for each file of a tree; what it costs is what COPY costs.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

import msgspec

from corten.archive.entry import NO_XATTRS, Entry, Kind
from corten.builder.graph import Copy
from corten.builder.hashes import Hashes, Learnt, hash_file, stamp
from corten.builder.layers import LayerWriter, Owner
from corten.builder.notes import Notes, field
from corten.builder.tree import ENCODING, SURROGATES, encoded
from corten.builder.walk import Item, unreadable
from corten.errors import Conflict, Invalid
from corten.events.job import Job

_SMALL = 1024 * 1024
_HELD = 256
_SECOND = 1_000_000_000
_KINDS: Mapping[int, Kind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
}
_KIND_FIELDS = {kind: field(kind) for kind in _KINDS.values()}
_sha256 = hashlib.sha256(usedforsecurity=False)
_field = lru_cache(4096)(field)


class Manner(NamedTuple):
    """How things are copied.

    ``keep_owner``: owners and attributes are part of what is copied (a stage or image;
    the context's are not).  ``hashes`` remembers digests, for the context.
    """

    op: Copy
    keep_owner: bool
    hashes: Hashes | None


class ItemCopier:
    """Takes things one by one: always to the notes, and to a layer if there is one."""

    def __init__(self, manner: Manner, notes: Notes, job: Job) -> None:
        op = manner.op
        self._keep_owner = manner.keep_owner
        self._hashes = manner.hashes
        self._chown = bool(op.chown)
        self._mode = int(op.chmod, 8) if op.chmod else None
        self._notes = notes
        self._job = job
        self._links: dict[tuple[int, int], tuple[str, str]] = {}
        self._learnt: list[Learnt] = []
        self._began = time.time_ns()

    def settle(self) -> None:
        """Pass on what is held back.  Raises: Cancelled."""
        self._job.check()
        self._notes.settle()
        if self._hashes is not None:
            self._hashes.keep(self._learnt, self._began)
        self._learnt.clear()
        self._began = time.time_ns()

    def tree(self, layer: LayerWriter | None, items: Iterator[Item], base: str) -> None:
        """All of a walk, to go under the directory `base`.  Raises: as `item`."""
        if layer is None:
            for item in items:
                self.item(None, item, "")
            return
        layer.directory(base)
        prefixes = {"": f"{base}/" if base else ""}
        for item in items:
            path = item.path
            parent, _, name = path.rpartition("/")
            place = prefixes[parent] + name
            if stat.S_ISDIR(item.state.st_mode):
                # A link to a directory below (as /lib often is) is copied through.
                through = layer.directory_link(place)
                if through is not None:
                    prefixes[path] = f"{through}/" if through else ""
                    self.item(None, item, place)
                    continue
                prefixes[path] = f"{place}/"
            self.item(layer, item, place)

    def item(self, layer: LayerWriter | None, item: Item, place: str) -> None:
        """Note one thing, and put it at `place` in the layer.

        Raises: Invalid: it cannot be copied to there; Conflict: it changed while it was
        read; Denied: it may not be read.
        """
        state = item.state
        kind = _KINDS.get(stat.S_IFMT(state.st_mode))
        if kind is None:
            raise Invalid(f"{item.source} is a socket, which cannot be copied")
        notes = self._notes
        if len(notes.held) > _HELD:
            self.settle()
        mode = state.st_mode & 0o7777
        path = item.path.encode(ENCODING, SURROGATES)
        notes.put(b"%b%d:%b%b" % (_KIND_FIELDS[kind], len(path), path, _field(mode)))
        xattrs: Mapping[str, bytes] = NO_XATTRS
        if self._keep_owner:
            if kind in ("file", "directory"):
                xattrs = item.attributes() or NO_XATTRS
            notes.add(
                state.st_uid, state.st_gid, *(part for pair in xattrs.items() for part in pair)
            )
        entry = None
        if layer is not None:
            owner = layer.owner
            if self._keep_owner and not self._chown:
                owner = Owner(state.st_uid, state.st_gid)
            if kind == "symlink":
                mode = 0o777
            elif self._mode is not None:
                mode = self._mode
            entry = Entry(
                place.encode(ENCODING, SURROGATES),
                kind,
                mode,
                owner.uid,
                owner.gid,
                state.st_size if kind == "file" else 0,
                state.st_mtime_ns // _SECOND * _SECOND,
                xattrs=xattrs,
            )
        if kind == "file":
            self._file(layer, item, entry)
        else:
            self._special(layer, item, entry, kind)

    def _special(
        self, layer: LayerWriter | None, item: Item, entry: Entry | None, kind: Kind
    ) -> None:
        """What is no file."""
        changes: dict[str, object] = {}
        if kind == "symlink":
            target = item.link()
            self._notes.add(target)
            changes["linkname"] = encoded(target)
        elif kind in ("char", "block"):
            number = item.state.st_rdev
            changes = {"major": os.major(number), "minor": os.minor(number)}
            self._notes.add(os.major(number), os.minor(number))
        if layer is not None and entry is not None:
            layer.put(msgspec.structs.replace(entry, **changes) if changes else entry)

    def _file(self, layer: LayerWriter | None, item: Item, entry: Entry | None) -> None:
        state = item.state
        if state.st_nlink > 1:
            place = os.fsdecode(entry.name) if entry is not None else ""
            first = self._links.setdefault((state.st_dev, state.st_ino), (item.source, place))
            if first[0] != item.source:
                self._notes.add("link", first[0])
                if layer is not None and entry is not None:
                    # With the file's metadata: engines give it to the file once more.
                    target = encoded(first[1])
                    layer.put(msgspec.structs.replace(entry, kind="link", size=0, linkname=target))
                return
        if layer is None and self._hashes is not None:
            known = self._hashes.find(item.source, state)
            if known is not None:
                self._notes.add(known)
                return
        fd = item.open()
        try:
            digest = self._read(layer, item, entry, fd)
        finally:
            os.close(fd)
        self._notes.put(b"32:%b" % digest)

    def _read(self, layer: LayerWriter | None, item: Item, entry: Entry | None, fd: int) -> bytes:
        """Read a file once or twice: hash it, and write it.  Returns its SHA-256."""
        state = item.state
        size = state.st_size
        if layer is None or entry is None:
            digest = hash_file(fd)
        elif size <= _SMALL:
            data = _all(item, fd, size)
            if len(data) < size:  # it shrank; files of /sys always do that
                raise Conflict(
                    f"{item.source} holds {len(data)} bytes, its size is {size}", hint="build again"
                )
            hasher = _sha256.copy()
            hasher.update(data)
            digest = hasher.digest()
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
        if self._hashes is not None:
            source = item.source.encode(ENCODING, SURROGATES)
            self._learnt.append((source, stamp(after), digest))
        return digest


def _all(item: Item, fd: int, size: int) -> bytes:
    try:
        data = os.read(fd, size) if size else b""
        while len(data) < size:
            piece = os.read(fd, size - len(data))
            if not piece:
                break
            data += piece
    except OSError as error:
        raise unreadable(item.source, error) from None
    return data
