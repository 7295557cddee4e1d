"""ADD of a local archive: its members as entries of a layer.

Every byte of an archive is hostile: no member can lead out of the destination.
Spec: Dockerfile reference, "Adding local tar archives".
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

import msgspec

from corten.archive.compression import PIECE, detect, inflater
from corten.archive.entry import Entry, show
from corten.archive.expansion import Expansion, TooLarge
from corten.archive.tar_fields import BLOCK, check_sum
from corten.archive.tar_reader import read_members
from corten.builder.layers import LayerWriter, Owner
from corten.content.ingest import storage_error
from corten.errors import CortenError, Invalid
from corten.events.job import Job
from corten.snapshot.members import PATH_MAX

NewFile = Callable[[], BinaryIO]
"""Makes a temporary file that is gone when it is closed."""


class Room(NamedTuple):
    """Where an archive is unpacked: temporary files, and a limit to what it may expand to."""

    new_file: NewFile
    limit: int


class _Enough(Exception):
    pass


def is_archive(fd: int) -> bool:
    """Whether a file is a tar, plain or compressed: by content, not by name."""
    head = bytearray()

    def take(data: bytes) -> None:
        head.extend(data)
        if len(head) >= BLOCK:
            raise _Enough

    first = os.pread(fd, 65536, 0)
    try:
        stream = inflater(detect(first), take)
        offset = 0
        while first and offset < 16 * 65536:
            stream.feed(first)
            offset += len(first)
            first = os.pread(fd, 65536, offset)
        if not first:
            # Small output may be held back until the end.
            stream.finish()
    except _Enough:
        pass
    except CortenError:
        return False
    return len(head) >= BLOCK and _is_header(bytes(head[:BLOCK]))


def _is_header(block: bytes) -> bool:
    if not block[0]:
        return False
    try:
        check_sum(block)
    except CortenError:
        return False
    return True


def unpack(
    fd: int, base: str, layer: LayerWriter, owner: Owner | None, room: Room, job: Job
) -> None:
    """Put the members of the archive `fd` into `layer`, under the directory `base`.

    Owners are the archive's, unless `owner` is given.

    Raises: Invalid: a member that leads outside or through a link, or breaks the
    format; Corrupt: damaged compression; Unsupported.
    """
    compression = detect(os.pread(fd, 65536, 0))
    if not compression:
        _Unpacking(base, layer, owner, room, job).members(fd)
        return
    with room.new_file() as plain:

        def write(data: bytes) -> None:
            try:
                plain.write(data)
            except OSError as error:
                raise storage_error(error, "unpack an archive") from error

        stream = inflater(compression, write, room.limit)
        offset = 0
        while piece := os.pread(fd, PIECE, offset):
            job.check()
            stream.feed(piece)
            offset += len(piece)
        stream.finish()
        plain.flush()
        _Unpacking(base, layer, owner, room, job).members(plain.fileno())


class _Unpacking:
    def __init__(
        self, base: str, layer: LayerWriter, owner: Owner | None, room: Room, job: Job
    ) -> None:
        self.base = base
        self.layer = layer
        self.owner = owner
        self.room = room
        self.job = job
        self.kinds: dict[str, str] = {}
        self.expansion = Expansion(room.limit)
        self.size = 0

    def members(self, fd: int) -> None:
        self.size = os.fstat(fd).st_size
        self.expansion.take(self.size)
        for entry, offset, stored in read_members(fd):
            self.job.check()
            if offset + stored > self.size:
                raise Invalid(f"the archive ends in the middle of {show(entry.name)}")
            name = _inside(entry.name, "the name")
            if not name:
                continue
            path = self._target(name)
            if entry.kind != "directory" or self.layer.directory_link(path) is None:
                self._put(entry, path, fd, offset, stored)
            self.kinds[path] = entry.kind

    def _target(self, name: str) -> str:
        """Where a member goes: links below are followed, links of the archive are not."""
        parts = name.split("/")
        path = self.base
        for part in parts[:-1]:
            path = f"{path}/{part}".lstrip("/")
            if self.kinds.get(path) not in (None, "directory"):
                raise Invalid(f"archive member {name!r} leads through {part!r}, not a directory")
            path = self.layer.directory_link(path) or path
        return f"{path}/{parts[-1]}".lstrip("/")

    def _put(self, entry: Entry, path: str, fd: int, offset: int, stored: int) -> None:
        owner = self.owner or Owner(entry.uid, entry.gid)
        changes: dict[str, object] = {"uid": owner.uid, "gid": owner.gid, "sparse": None}
        if entry.kind == "link":
            target = self._target(_inside(entry.linkname, f"the target of {show(entry.name)}"))
            if self.kinds.get(target) in (None, "directory"):
                raise Invalid(f"archive member {show(entry.name)} links to what is not there")
            changes["linkname"] = os.fsencode(target)
        placed = msgspec.structs.replace(
            entry,
            name=os.fsencode(path),
            **changes,
        )
        if entry.kind != "file":
            self.layer.put(placed, replace=True)
        elif entry.sparse is None:
            os.lseek(fd, offset, os.SEEK_SET)
            self.layer.put(placed, fd if entry.size else b"", replace=True)
        else:
            try:
                self.expansion.give(entry.size)  # a layer has no holes: they are written out
            except TooLarge as error:
                raise TooLarge(f"{show(entry.name)}: {error.message}", hint=error.hint) from error
            with self.room.new_file() as whole:
                _fill(whole.fileno(), fd, offset, entry)
                self.layer.put(placed, whole.fileno() if entry.size else b"", replace=True)


def _fill(out: int, fd: int, offset: int, entry: Entry) -> None:
    """Write a sparse member's holes out."""
    os.ftruncate(out, entry.size)
    for at, length in entry.sparse or ():
        done = 0
        while done < length:
            piece = os.pread(fd, min(PIECE, length - done), offset)
            if not piece:
                raise Invalid(f"archive member {show(entry.name)} is cut off")
            os.pwrite(out, piece, at + done)
            done += len(piece)
            offset += len(piece)


def _inside(name: bytes, what: str) -> str:
    """A member's name as a path inside; a leading slash is taken off.  Raises: Invalid."""
    if len(name) > PATH_MAX:
        raise Invalid(f"archive member {show(name)}: {what} is longer than {PATH_MAX} bytes")
    parts = [part for part in os.fsdecode(name).split("/") if part not in ("", ".")]
    if ".." in parts:
        raise Invalid(f"archive member {show(name)}: {what} leads outside")
    return "/".join(parts)
