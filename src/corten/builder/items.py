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

from corten.archive.entry import KINDS, NO_XATTRS, Entry, Kind
from corten.builder.graph import Copy
from corten.builder.hashes import Hashes, Learnt, hash_file, stamp
from corten.builder.layers import LayerWriter
from corten.builder.modes import parse_mode
from corten.builder.notes import Notes, field
from corten.builder.tree import ENCODING, SURROGATES, encoded
from corten.builder.walk import Item, unreadable
from corten.errors import Conflict, Invalid
from corten.events.job import Job

_SMALL = 1024 * 1024
_HELD = 256
_SECOND = 1_000_000_000
_KIND_FIELDS = {kind: field(kind) for kind in KINDS.values()}
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
        self._change = parse_mode(op.chmod) if op.chmod else None
        self._notes = notes
        self._job = job
        self._links: dict[tuple[int, int], tuple[str, bytes]] = {}
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
        """All of a walk but for sockets, to go under the directory `base`.  Raises: as `item`."""
        if layer is None:
            for item in items:
                if not stat.S_ISSOCK(item.state.st_mode):
                    self.item(None, item, "")
            return
        layer.directory(base)
        prefixes = {"": f"{base}/" if base else ""}
        for item in items:
            if stat.S_ISSOCK(item.state.st_mode):
                # Who made it may not even run any more: as with docker, a tree goes without.
                self._job.warn(f"{item.source} is a socket: it is left out")
                continue
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
        kind = KINDS.get(stat.S_IFMT(state.st_mode))
        if kind is None:
            raise Invalid(f"{item.source} is a socket, which cannot be copied")
        notes = self._notes
        if len(notes.held) > _HELD:
            self.settle()
        mode = state.st_mode & 0o7777
        path = item.path.encode(ENCODING, SURROGATES)
        notes.put(b"%b%d:%b%b" % (_KIND_FIELDS[kind], len(path), path, _field(mode)))
        xattrs = self._note_owner(item, kind) if self._keep_owner else NO_XATTRS
        if layer is None:
            self._special(None, item, Entry(b"", kind))
            return
        if kind == "symlink":
            mode = 0o777
        elif self._change is not None:
            mode = self._change(mode, kind == "directory")
        uid, gid = layer.owner
        if self._keep_owner and not self._chown:
            uid, gid = state.st_uid, state.st_gid
        name = place.encode(ENCODING, SURROGATES)
        seconds = state.st_mtime_ns // _SECOND
        if kind == "file" and state.st_size <= _SMALL and state.st_nlink == 1 and not xattrs:
            # What most things are, on the shortest way.
            data, digest = self._content(item)
            layer.put_file(name, (mode, uid, gid), seconds, data)
            notes.put(b"32:%b" % digest)
            return
        size = state.st_size if kind == "file" else 0
        entry = Entry(name, kind, mode, uid, gid, size, seconds * _SECOND, xattrs=xattrs)
        self._special(layer, item, entry)

    def _note_owner(self, item: Item, kind: Kind) -> Mapping[str, bytes]:
        """Note owner and attributes; returns the latter."""
        xattrs = item.attributes() if kind in ("file", "directory") else {}
        pairs = (part for pair in xattrs.items() for part in pair)
        self._notes.add(item.state.st_uid, item.state.st_gid, *pairs)
        return xattrs or NO_XATTRS

    def _special(self, layer: LayerWriter | None, item: Item, entry: Entry) -> None:
        """What is said of some kinds only; `entry` is complete but for that."""
        if entry.kind == "file":
            self._file(layer, item, entry)
            return
        if entry.kind == "symlink":
            target = item.link()
            self._notes.add(target)
            entry = msgspec.structs.replace(entry, linkname=encoded(target))
        elif entry.kind in ("char", "block"):
            major, minor = os.major(item.state.st_rdev), os.minor(item.state.st_rdev)
            self._notes.add(major, minor)
            entry = msgspec.structs.replace(entry, major=major, minor=minor)
        if layer is not None:
            layer.put(entry)

    def _file(self, layer: LayerWriter | None, item: Item, entry: Entry) -> None:
        state = item.state
        if state.st_nlink > 1:
            key = (state.st_dev, state.st_ino)
            first, place = self._links.setdefault(key, (item.source, entry.name))
            if first != item.source:
                self._notes.add("link", first)
                if layer is not None:
                    # With the file's metadata: engines give it to the file once more.
                    layer.put(msgspec.structs.replace(entry, kind="link", size=0, linkname=place))
                return
        digest = None
        if layer is None and self._hashes is not None:
            digest = self._hashes.find(item.source, state)
        if digest is None and state.st_size > _SMALL:
            digest = self._copy(layer, item, entry)
        elif digest is None:
            data, digest = self._content(item)
            if layer is not None:
                layer.put(entry, data)
        self._notes.add(digest)

    def _content(self, item: Item) -> tuple[bytes, bytes]:
        """What is in a small file, and its SHA-256."""
        size = item.state.st_size
        fd = item.open()
        try:
            data = os.read(fd, size) if size else b""
            while len(data) < size:
                piece = os.read(fd, size - len(data))
                if not piece:  # it shrank; files of /sys always do that
                    raise Conflict(
                        f"{item.source} holds {len(data)} bytes, its size is {size}",
                        hint="build again",
                    )
                data += piece
            after = os.fstat(fd)
        except OSError as error:
            raise unreadable(item.source, error) from None
        finally:
            os.close(fd)
        hasher = _sha256.copy()
        hasher.update(data)
        digest = hasher.digest()
        self._learn(item, after, digest)
        return data, digest

    def _copy(self, layer: LayerWriter | None, item: Item, entry: Entry) -> bytes:
        """Read a large file piece by piece, into the layer if there is one.  Returns its SHA-256."""
        fd = item.open()
        try:
            if layer is None:
                digest = hash_file(fd)
            else:
                hasher = _sha256.copy()
                layer.put(entry, fd, seen=hasher.update)
                digest = hasher.digest()
            after = os.fstat(fd)
        finally:
            os.close(fd)
        self._learn(item, after, digest)
        return digest

    def _learn(self, item: Item, after: os.stat_result, digest: bytes) -> None:
        """A file was read, and it is in the state `after` now.  Raises: Conflict: not as listed."""
        state = item.state
        if (
            after.st_mtime_ns != state.st_mtime_ns
            or after.st_size != state.st_size
            or after.st_mode != state.st_mode
        ):
            raise Conflict(f"{item.source} changed while it was read", hint="build again")
        if self._hashes is not None:
            source = item.source.encode(ENCODING, SURROGATES)
            self._learnt.append((source, stamp(after), digest))
