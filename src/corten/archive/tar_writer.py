"""Writing tar: ustar headers packed by hand, pax records only where ustar cannot say it.

The same entries give the same bytes.  Spec: POSIX pax, "ustar Interchange Format".
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable
from zlib import adler32

import msgspec

from corten.archive.acl import ACL_RECORDS, acl_to_text
from corten.archive.entry import Entry, Kind, show
from corten.archive.tar_fields import BLOCK, XATTR_PREFIX
from corten.errors import Conflict, Invalid

PIECE = 1024 * 1024
_FLAGS: dict[Kind, bytes] = {
    "file": b"0",
    "link": b"1",
    "symlink": b"2",
    "char": b"3",
    "block": b"4",
    "directory": b"5",
    "fifo": b"6",
}
# A header in two parts, between which the checksum stands: its first 148 bytes (name, mode,
# owner, group, size, time) and its last 356 (type, link, magic, names of owners, devices, prefix).
_pack_end = struct.Struct("1s100s8s64x16s155s12x").pack
_MAGIC = b"ustar\x0000"
_BLANK = 8 * 0x20  # the checksum counts as spaces
_PAX_NAME = b"././@PaxHeader"
_OCTAL_7 = 0o7777777
_OCTAL_11 = 0o77777777777
_END = bytes(2 * BLOCK)
_CACHE = 4096
_TEXTS = (b"path", b"linkpath", b"GNU.sparse.name")
_ACLS = {attribute: record for record, attribute in ACL_RECORDS.items()}


class TarWriter:
    """Writes a tar archive through `write`, which is called with pieces of about a MiB.

    ``size`` is how many bytes the archive has so far.
    """

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._pieces: list[bytes] = []
        self._pending = 0
        self._flushed = 0
        self._times: dict[int, bytes] = {}
        self._owners: dict[tuple[int, int, int], bytes] = {}
        self._extensions: dict[int, bytes] = {}
        # The last prefix of a long name, and what it makes of a file's header (see `_end`).
        self._prefix = (b"", *_ENDS["file"])

    @property
    def size(self) -> int:
        """Bytes written so far, what is still held back included."""
        return self._flushed + self._pending

    def add_file(self, name: bytes, who: tuple[int, int, int], seconds: int, data: bytes) -> None:
        """As `add` for what most members are: a file of which there is nothing else to say.

        `who` are its mode, owner and group.  Costs half of what `add` costs.
        """
        size = len(data)
        prefix = b""
        short = name
        if len(name) > 100:
            prefix, short = _split(name) or (b"", b"")
        owner = self._owners.get(who)
        if (
            owner is None
            or not short
            or not 0 <= seconds <= _OCTAL_11
            or max(who) > _OCTAL_7
            or b"\0" in name
        ):
            self.add(Entry(name, "file", *who, size, seconds * 1_000_000_000), data)
            return
        if prefix == self._prefix[0]:
            _, end, total = self._prefix
        else:
            end, total = _end(Entry(name), prefix)
            self._prefix = prefix, end, total
        start = b"%b%b%011o\0%011o\0" % (short.ljust(100, b"\0"), owner, size, seconds)
        # As `_sum` does it, without the call.
        header = b"%b%06o\0 %b" % (start, (adler32(start) - 1 & 0xFFFF) + total, end)
        if size:
            self._put(header, data, bytes(-size % BLOCK))
        else:
            self._put(header)

    def add(
        self,
        entry: Entry,
        data: bytes | int | None = None,
        seen: Callable[[bytes], object] | None = None,
    ) -> None:
        """Append a member.

        `data` is a file's content: bytes, or a file descriptor that is read from
        its present position; exactly ``entry.size`` bytes.  Of an entry with
        ``sparse``, the descriptor's stretches are read wherever its position is, and
        nothing else.  A directory's name may end in a slash or not; it is written with one.
        `seen` is called with what is read from a descriptor, piece by piece.

        Raises: Invalid: a name that tar cannot hold, or data for something that has
        none; Conflict: the file became shorter than ``entry.size`` while it was read.
        """
        size = entry.size if entry.kind == "file" else 0
        if entry.sparse is not None:
            self._add_sparse(entry, entry.sparse, data)
            return
        if isinstance(data, bytes) and len(data) != size:
            raise Invalid(f"{show(entry.name)}: {len(data)} bytes of data for a size of {size}")
        if data is None and size:
            raise Invalid(f"{show(entry.name)}: no data for a size of {size}")
        header = self._header(entry, size)
        if not size:
            self._put(header)
        elif isinstance(data, bytes):
            self._put(header, data, bytes(-size % BLOCK))
        elif data is not None:
            first = os.read(data, min(size, PIECE))
            if seen is not None:
                seen(first)
            if len(first) == size:
                self._put(header, first, bytes(-size % BLOCK))
                return
            self._put(header, first)
            self._copy(entry, data, size - len(first), seen=seen)
            self._put(bytes(-size % BLOCK))

    def _add_sparse(
        self, entry: Entry, stretches: tuple[tuple[int, int], ...], data: bytes | int | None
    ) -> None:
        """Form 1.0 (GNU tar manual, "PAX Format"): a map in decimal lines, then the stretches."""
        if entry.kind != "file" or not isinstance(data, int):
            raise Invalid(f"{show(entry.name)}: holes are for files that are read by descriptor")
        listed = [*stretches, (entry.size, 0)]  # the last one tells that a hole ends the file
        numbers = b"".join(b"%d\n%d\n" % stretch for stretch in listed)
        text = b"%d\n%b" % (len(listed), numbers)
        text += bytes(-len(text) % BLOCK)
        stored = sum(length for _, length in stretches)
        records = [
            (b"GNU.sparse.major", b"1"),
            (b"GNU.sparse.minor", b"0"),
            (b"GNU.sparse.name", entry.name),
            (b"GNU.sparse.realsize", b"%d" % entry.size),
        ]
        # Readers that do not know the form make a file of another name, so nobody is deceived.
        name = b"GNUSparseFile.0/" + entry.name.rpartition(b"/")[2][:80]
        if not entry.name or b"\0" in entry.name:
            raise Invalid(f"{show(entry.name)!r} cannot be a name in a tar")
        outer = msgspec.structs.replace(entry, name=name, size=len(text) + stored)
        self._put(self._header(outer, outer.size, records))
        self._put(text)
        for offset, length in stretches:
            self._copy(entry, data, length, offset)
        self._put(bytes(-stored % BLOCK))

    def finish(self) -> None:
        """Write the end of the archive and what was held back."""
        self._put(_END)
        self._flush()

    def _put(self, *pieces: bytes) -> None:
        self._pieces += pieces
        self._pending += sum(map(len, pieces))
        if self._pending >= PIECE:
            self._flush()

    def _flush(self) -> None:
        if self._pieces:
            data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            self._flushed += self._pending
            self._pieces.clear()
            self._pending = 0
            self._write(data)

    def _copy(
        self,
        entry: Entry,
        fd: int,
        size: int,
        offset: int | None = None,
        seen: Callable[[bytes], object] | None = None,
    ) -> None:
        left = size
        while left:
            count = min(left, PIECE)
            data = os.read(fd, count) if offset is None else os.pread(fd, count, offset)
            if not data:
                raise Conflict(f"{show(entry.name)} became shorter while it was read")
            if seen is not None:
                seen(data)
            self._put(data)
            left -= len(data)
            if offset is not None:
                offset += len(data)

    def _header(self, entry: Entry, size: int, more: Iterable[tuple[bytes, bytes]] = ()) -> bytes:
        name = entry.name
        if entry.kind == "directory" and not name.endswith(b"/"):
            name += b"/"
        if not name or b"\0" in name or b"\0" in entry.linkname:
            raise Invalid(f"{show(name)!r} cannot be a name in a tar")
        records: list[tuple[bytes, bytes]] = [*more]
        prefix = b""
        if len(name) > 100:
            split = _split(name)
            if split is None:
                records.append((b"path", name))
                name = name[:100]
            else:
                prefix, name = split
        link, uid, gid = entry.linkname, entry.uid, entry.gid
        if len(link) > 100:
            records.append((b"linkpath", link))
        if size > _OCTAL_11:
            records.append((b"size", b"%d" % size))
        if uid > _OCTAL_7:
            records.append((b"uid", b"%d" % uid))
        if gid > _OCTAL_7:
            records.append((b"gid", b"%d" % gid))
        seconds, fraction = divmod(entry.mtime_ns, 1_000_000_000)
        if fraction or not 0 <= seconds <= _OCTAL_11:
            records.append((b"mtime", _decimal(entry.mtime_ns)))
            seconds = min(max(seconds, 0), _OCTAL_11)
        if entry.xattrs:
            for key, value in entry.xattrs.items():
                records += _attribute(key, value)
        block = self._block(entry, name, prefix, seconds)
        if not records:
            return block
        records.sort()
        if any(key in _TEXTS and not _is_utf8(value) for key, value in records):
            records.insert(0, (b"hdrcharset", b"BINARY"))
        return self._extension(b"".join([_record(*record) for record in records])) + block

    def _block(self, entry: Entry, name: bytes, prefix: bytes, seconds: int) -> bytes:
        """The header of a member, with what fits into it."""
        size = min(entry.size, _OCTAL_11) if entry.kind == "file" else 0
        times = self._times.get(seconds)
        if times is None:
            if len(self._times) >= _CACHE:
                self._times.clear()
            times = self._times[seconds] = b"%011o\0" % seconds
        who = (entry.mode, entry.uid, entry.gid)
        owner = self._owners.get(who)
        if owner is None:
            if len(self._owners) >= _CACHE:
                self._owners.clear()
            owner = self._owners[who] = _owner(*who)
        # The usual ends of a header, behind the checksum, differ in one byte only.
        if prefix or entry.linkname or entry.major or entry.minor:
            end, total = _end(entry, prefix)
        else:
            end, total = _ENDS[entry.kind]
        start = b"%b%b%011o\0%b" % (name.ljust(100, b"\0"), owner, size, times)
        # As `_sum` does it, without the call.
        return b"%b%06o\0 %b" % (start, (adler32(start) - 1 & 0xFFFF) + total, end)

    def _extension(self, body: bytes) -> bytes:
        """A pax header with `body`.  Its header says nothing but its size; few sizes occur."""
        length = len(body)
        block = self._extensions.get(length)
        if block is None:
            if len(self._extensions) >= _CACHE:
                self._extensions.clear()
            start = _PAX_NAME.ljust(100, b"\0") + _owner(0o644, 0, 0)
            start += b"%011o\0%011o\0" % (length, 0)
            end = _pack_end(b"x", b"", _MAGIC, b"", b"")
            block = b"%b%06o\0 %b" % (start, _sum(start) + sum(end) + _BLANK, end)
            self._extensions[length] = block
        return b"".join((block, body, bytes(-length % BLOCK)))


def _owner(mode: int, uid: int, gid: int) -> bytes:
    return b"%07o\0%07o\0%07o\0" % (mode, min(uid, _OCTAL_7), min(gid, _OCTAL_7))


def _end(entry: Entry, prefix: bytes) -> tuple[bytes, int]:
    """A header from its type on, and what that adds to the checksum."""
    devices = b""
    if entry.kind in ("char", "block"):
        devices = b"%07o\0%07o\0" % (entry.major, entry.minor)
    end = _pack_end(_FLAGS[entry.kind], entry.linkname[:100], _MAGIC, devices, prefix)
    # In two parts: see `_sum`.
    return end, _sum(end[:178]) + _sum(end[178:]) + _BLANK


def _sum(part: bytes) -> int:
    """The sum of at most 256 bytes of a header."""
    # The low half of Adler-32 is one plus the sum, modulo 65521, which so few stay below.
    return (adler32(part) - 1) & 0xFFFF


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """A long name as (prefix, name) of a ustar header, if it can be cut at a slash."""
    if len(name) > 256:
        return None
    # The cut must leave a name of 1..100 bytes behind a prefix of 1..155 bytes.
    at = name.find(b"/", len(name) - 101)
    if not 0 < at <= 155 or at == len(name) - 1:
        return None
    return name[:at], name[at + 1 :]


def _is_utf8(name: bytes) -> bool:
    if name.isascii():
        return True
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _attribute(key: str, value: bytes) -> list[tuple[bytes, bytes]]:
    """The records of an extended attribute; an access control list comes as text, too."""
    # What GNU tar and bsdtar do with bytes that would end the keyword.
    raw = key.encode("utf-8", "surrogateescape").replace(b"%", b"%25").replace(b"=", b"%3D")
    records = [(XATTR_PREFIX + raw, value)]
    text = acl_to_text(value) if key in _ACLS else None
    if text:
        records.append((_ACLS[key], text))
    return records


def _record(key: bytes, value: bytes) -> bytes:
    body = b" %b=%b\n" % (key, value)
    length = len(body)
    digits = len(str(length))
    if len(str(length + digits)) > digits:
        digits += 1
    return b"%d%b" % (length + digits, body)


def _decimal(nanoseconds: int) -> bytes:
    sign = "-" if nanoseconds < 0 else ""
    seconds, fraction = divmod(abs(nanoseconds), 1_000_000_000)
    text = f"{sign}{seconds}.{fraction:09d}".rstrip("0").rstrip(".")
    return text.encode()


_ENDS = {kind: _end(Entry(b"", kind), b"") for kind in _FLAGS}
