"""Reading tar: a scanner that is fed bytes as they come, and a walk over a file.

Understands v7, ustar, pax (extended and global headers), GNU long names,
base-256 numbers, and the four sparse forms.  Every header is hostile: sizes are
bounded, and what is not understood is refused rather than guessed, so that
nobody else reads another tree out of the same bytes.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Any
from zlib import adler32

import msgspec

from corten.archive import tar_fields as fields
from corten.archive.entry import NO_XATTRS, Entry, Kind, Member, show
from corten.archive.tar_fields import BLOCK, number
from corten.errors import Invalid, Unsupported

_ZERO = bytes(BLOCK)
# name, mode+uid+gid, size, mtime, checksum, type, linkname, magic+version, devices, prefix, rest
_unpack = struct.Struct("100s24s12s12s8sB100s8s64x16s155s12s").unpack
_KINDS: dict[int, Kind] = {
    0: "file",
    ord("0"): "file",
    ord("7"): "file",
    ord("1"): "link",
    ord("2"): "symlink",
    ord("3"): "char",
    ord("4"): "block",
    ord("5"): "directory",
    ord("6"): "fifo",
    ord("S"): "file",
}
_EXTENSIONS = frozenset(b"xgLKX")
_CACHE = 4096
_WINDOW = 256 * 1024
# A global header that renamed or resized every member would be a trick, not a use.
_NOT_GLOBAL = (b"path", b"linkpath", b"size", b"GNU.sparse.")


class _Sparse:
    """A sparse member whose map is still coming in."""

    def __init__(self, entry: Entry, stored: int, numbers: list[int]) -> None:
        self.entry = entry
        self.stored = stored
        self.numbers = numbers
        self.text = bytearray()
        self.lines = 0
        self.old = False


class TarScanner:
    """Finds the members of a tar in bytes that are fed to it, in pieces of any size.

    ``gap`` is how many of the next bytes are a member's data and of no use here:
    a caller that can seek may :meth:`skip` them instead of feeding them.
    ``ended`` tells that the archive's end blocks were seen; what follows is ignored.
    ``fault`` is, after `feed` has raised, at which byte what is wrong begins, and ``before``
    what it found until there.
    """

    def __init__(self) -> None:
        self.gap = 0
        self.ended = False
        self.fault = 0
        self.before: list[Member] = []
        self._offset = 0
        self._want = BLOCK
        self._carry = bytearray()
        self._lone_zero = False
        self._extension = 0
        self._extensions = 0
        self._pax: dict[bytes, bytes] = {}
        self._sparse_numbers: list[bytes] = []
        self._global: dict[bytes, bytes] = {}
        self._sparse: _Sparse | None = None
        self._ids: dict[bytes, tuple[int, int, int]] = {}

    def feed(self, data: bytes | bytearray | memoryview) -> list[Member]:
        """The members whose headers end in `data`.  Raises: Invalid, Unsupported."""
        if self.ended:
            return []
        if not isinstance(data, bytes):
            data = bytes(data)
        members: list[Member] = []
        at, end, start = 0, len(data), self._offset
        self._offset += end
        while not self.ended:
            if self.gap:
                step = min(self.gap, end - at)
                self.gap -= step
                at += step
                if self.gap:
                    break
            want = self._want
            if self._carry:
                part = data[at : at + want - len(self._carry)]
                self._carry += part
                at += len(part)
                if len(self._carry) < want:
                    break
                unit = bytes(self._carry)
                self._carry.clear()
            else:
                if end - at < want:
                    self._carry += data[at:]
                    break
                unit = data[at : at + want]
                at += want
            try:
                member = self._unit(unit, start + at)
            except (Invalid, Unsupported):
                self.fault, self.before = start + at - want, members
                raise
            if member is not None:
                members.append(member)
        return members

    def skip(self, count: int) -> None:
        """Pass over `count` bytes (at most ``gap``) without feeding them."""
        if not 0 <= count <= self.gap:
            raise ValueError(f"cannot skip {count} bytes of {self.gap}")
        self.gap -= count
        self._offset += count

    def finish(self) -> None:
        """There are no more bytes.  Raises: Invalid: the archive ends in the middle."""
        if self.ended:
            return
        if self.gap or self._carry or self._extension or self._pax or self._sparse is not None:
            raise Invalid("malformed tar: it ends in the middle of a member")

    def _unit(self, unit: bytes, after: int) -> Member | None:
        """Take one header or body; `after` is the offset of what follows it."""
        if self._extension:
            self._take_extension(unit)
            return None
        if self._sparse is not None:
            return self._take_sparse(self._sparse, unit, after)
        if unit == _ZERO:
            self.ended = self._lone_zero
            self._lone_zero = True
            return None
        if self._lone_zero:
            raise Invalid("malformed tar: a header follows a lone zero block")
        return self._header(unit, after)

    def _header(self, block: bytes, after: int) -> Member | None:
        name, ids, size, mtime, check, flag, link, magic, devices, prefix, rest = _unpack(block)
        try:
            # The usual form of a number, taken without a detour; all others below.
            length = int(size[:11], 8) if size[:11].isdigit() and not size[11] else -1
            seconds = int(mtime[:11], 8) if mtime[:11].isdigit() and not mtime[11] else -1
            # The low half of Adler-32 is one plus the sum of the bytes, modulo 65521.
            stated = int(check[:6], 8) - 256 + (adler32(check) & 0xFFFF)
            wrong = ((adler32(block) & 0xFFFF) - stated) % 65521
        except ValueError:
            length = seconds = -1
            wrong = 1
        if wrong:
            fields.check_sum(block)
        if length < 0:
            length = fields.checked_size(number(size, "a size"))
        if seconds < 0:
            seconds = fields.checked_time(number(mtime, "a time"))
        owner = self._ids.get(ids)
        if owner is None:
            owner = self._remember_ids(ids)
        if flag in _EXTENSIONS:
            self._begin_extension(flag, length)
            return None
        self._extensions = 0
        kind = _KINDS.get(flag)
        name = name.partition(b"\0")[0]
        if magic == b"ustar\x0000" and prefix[0]:
            # star kept two times behind a shorter prefix
            name = (
                (prefix[:131] if rest[8:] == b"tar\0" else prefix).partition(b"\0")[0] + b"/" + name
            )
        if kind is None:
            raise Unsupported(f"cannot read the tar member {show(name)}: its type is {chr(flag)!r}")
        mode, uid, gid = owner
        linkname = link.partition(b"\0")[0] if link[0] else b""
        stored = length if kind == "file" else 0
        major = minor = 0
        if kind in ("char", "block"):
            major = number(devices[:8], "a device number")
            minor = number(devices[8:], "a device number")
        entry = Entry(
            name,
            kind,
            mode,
            uid,
            gid,
            stored,
            seconds * 1_000_000_000,
            linkname,
            major,
            minor,
            NO_XATTRS,
            None,
        )
        if self._pax or self._global:
            return self._extended(entry, stored, flag, block, after)
        if flag == 83:  # S
            return self._old_sparse(entry, stored, block, after)
        if kind == "file" and name.endswith(b"/"):
            return self._as_directory(entry, stored, after)
        self.gap = (stored + 511) & ~511
        return entry, after, stored

    def _as_directory(self, entry: Entry, stored: int, after: int) -> Member:
        """Before there was a type for directories, a trailing slash said it."""
        self.gap = (stored + 511) & ~511
        return msgspec.structs.replace(entry, kind="directory", size=0), after, 0

    def _remember_ids(self, ids: bytes) -> tuple[int, int, int]:
        if len(self._ids) >= _CACHE:
            self._ids.clear()
        owner = (
            number(ids[:8], "a mode") & 0o7777,
            fields.checked_id(number(ids[8:16], "uid"), "uid"),
            fields.checked_id(number(ids[16:], "gid"), "gid"),
        )
        self._ids[ids] = owner
        return owner

    def _begin_extension(self, flag: int, length: int) -> None:
        if length > fields.EXTENSION_LIMIT:
            raise Invalid(
                f"malformed tar: an extension header of {length} bytes "
                f"is larger than the limit of {fields.EXTENSION_LIMIT}"
            )
        if length == 0:
            return
        # One header may follow another without end, and all is kept for the member.
        self._extensions += length
        if self._extensions > fields.EXTENSIONS_LIMIT:
            raise Invalid(
                "malformed tar: the extension headers of one member are larger together "
                f"than the limit of {fields.EXTENSIONS_LIMIT}"
            )
        self._extension = flag
        self._extension_length = length
        self._want = (length + 511) & ~511

    def _take_extension(self, unit: bytes) -> None:
        flag, body = self._extension, unit[: self._extension_length]
        self._extension, self._want = 0, BLOCK
        if flag in b"LK":
            self._pax[b"path" if flag == ord("L") else b"linkpath"] = body.partition(b"\0")[0]
            return
        records = fields.parse_pax(body)
        if flag == ord("g"):
            for key, _ in records:
                if key.startswith(_NOT_GLOBAL):
                    raise Unsupported(f"a global tar header sets {show(key)} for all members")
            self._global.update(records)
            # They are looked at for every member.
            size = sum(len(key) + len(value) for key, value in self._global.items())
            if size > fields.GLOBAL_LIMIT or len(self._global) > fields.GLOBAL_COUNT:
                raise Invalid("malformed tar: its global headers are too large")
            return
        for key, value in records:
            if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
                self._sparse_numbers.append(value)  # form 0.0 repeats its keywords
            self._pax[key] = value

    def _extended(
        self, entry: Entry, stored: int, flag: int, block: bytes, after: int
    ) -> Member | None:
        records = self._pax if not self._global else {**self._global, **self._pax}
        numbers, self._sparse_numbers = self._sparse_numbers, []
        self._pax = {}
        changes: dict[str, Any] = fields.overrides(records)
        if entry.kind == "file":
            stored = changes.get("size", stored)
        else:
            changes.pop("size", None)
        entry = msgspec.structs.replace(entry, **changes)
        if flag == ord("S"):
            return self._old_sparse(entry, stored, block, after)
        if entry.kind == "file" and any(key.startswith(b"GNU.sparse.") for key in records):
            return self._pax_sparse(entry, stored, records, numbers, after)
        if entry.kind == "file" and entry.name.endswith(b"/"):
            return self._as_directory(entry, stored, after)
        self.gap = (stored + 511) & ~511
        return entry, after, stored

    def _pax_sparse(
        self,
        entry: Entry,
        stored: int,
        records: dict[bytes, bytes],
        numbers: list[bytes],
        after: int,
    ) -> Member | None:
        """Forms 0.0, 0.1 and 1.0 (GNU tar manual, "PAX Format")."""
        name = records.get(b"GNU.sparse.name", b"")
        if b"\0" in name:
            raise Invalid("malformed tar: a name has a NUL in it")
        text = records.get(b"GNU.sparse.realsize") or records.get(b"GNU.sparse.size") or b""
        real = fields.checked_size(fields.decimal(text, "a sparse file's size"))
        entry = msgspec.structs.replace(entry, name=name or entry.name, size=real)
        if records.get(b"GNU.sparse.major", b"0") == b"1":
            self._sparse = _Sparse(entry, stored, [])
            if stored < BLOCK:
                raise Invalid("malformed tar: a sparse member has no map")
            return None
        listed = records.get(b"GNU.sparse.map")
        parts = listed.split(b",") if listed else numbers
        if len(parts) > 2 * fields.SPARSE_LIMIT:
            raise Invalid("malformed tar: a sparse map is too long")
        values = [fields.decimal(part, "a sparse map") for part in parts]
        return self._sparse_member(entry, stored, values, after)

    def _old_sparse(self, entry: Entry, stored: int, block: bytes, after: int) -> Member | None:
        """GNU's own form: the map stands in the header and in blocks behind it."""
        real = fields.checked_size(number(block[483:495], "a sparse file's size"))
        entry = msgspec.structs.replace(entry, size=real)
        numbers = _pairs(block[386:482])
        if block[482]:
            self._sparse = _Sparse(entry, stored, numbers)
            self._sparse.old = True
            return None
        return self._sparse_member(entry, stored, numbers, after)

    def _take_sparse(self, sparse: _Sparse, unit: bytes, after: int) -> Member | None:
        if sparse.old:
            sparse.numbers += _pairs(unit[:504])
            if len(sparse.numbers) > 2 * fields.SPARSE_LIMIT:
                raise Invalid("malformed tar: a sparse map is too long")
            if unit[504]:
                return None
            self._sparse = None
            return self._sparse_member(sparse.entry, sparse.stored, sparse.numbers, after)
        sparse.text += unit
        sparse.stored -= BLOCK
        # Counted, and split once only: a map may have thousands of blocks.
        sparse.lines += unit.count(b"\n")
        first, newline, _ = bytes(sparse.text[:BLOCK]).partition(b"\n")
        count = fields.decimal(first, "a sparse map") if newline else 0
        if count > fields.SPARSE_LIMIT:
            raise Invalid("malformed tar: a sparse map is too long")
        if not newline or sparse.lines < 2 * count + 1:
            if sparse.stored < BLOCK or len(sparse.text) > 2 * fields.EXTENSION_LIMIT:
                raise Invalid("malformed tar: a sparse map does not end")
            return None
        self._sparse = None
        lines = bytes(sparse.text).split(b"\n", 2 * count + 1)
        numbers = [fields.decimal(line, "a sparse map") for line in lines[1 : 2 * count + 1]]
        return self._sparse_member(sparse.entry, sparse.stored, numbers, after)

    def _sparse_member(self, entry: Entry, stored: int, numbers: list[int], after: int) -> Member:
        pairs = fields.sparse_pairs(numbers, entry.size, stored)
        self.gap = (stored + 511) & ~511
        return msgspec.structs.replace(entry, sparse=pairs), after, stored


def _pairs(area: bytes) -> list[int]:
    numbers = []
    for at in range(0, len(area), 24):
        if not area[at]:
            break
        numbers.append(number(area[at : at + 12], "a sparse map"))
        numbers.append(number(area[at + 12 : at + 24], "a sparse map"))
    return numbers


def read_members(fd: int, scanner: TarScanner | None = None) -> Iterator[Member]:
    """The members of the tar in the file `fd`, whose data is passed over by seeking.

    The file's own position is neither used nor changed.  `scanner` is a new one that tells
    where it stopped.  Raises: Invalid, Unsupported.
    """
    scanner = scanner or TarScanner()
    offset = 0
    while not scanner.ended:
        piece = os.pread(fd, _WINDOW, offset)
        if not piece:
            break
        offset += len(piece)
        yield from scanner.feed(piece)
        if scanner.gap:
            left = max(0, os.fstat(fd).st_size - offset)
            step = min(scanner.gap, left)
            scanner.skip(step)
            offset += step
    scanner.finish()
