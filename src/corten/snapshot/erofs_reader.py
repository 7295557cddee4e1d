"""Reads an index that was made here and whose checksum was verified: what merging needs of it."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from corten.snapshot.erofs_layout import (
    BLOCK,
    CHAR,
    DIRECTORY,
    DIRENT,
    INODE,
    META,
    SUPERBLOCK,
    SYMLINK,
    XATTR,
    Dirent,
)

PRIVATE = b"overlay."
"""What names of attributes in the namespace ``trusted`` begin with that are overlayfs' own."""
_TRUSTED = 4
_HEAD = struct.Struct("<QI")
_SELF = (b".", b"..")


class IndexReader:
    """An index as bytes.  Inodes are named by their numbers; ``root`` is the root directory's.

    ``count`` says how many inodes there are, ``mergeable`` whether there is room for the
    slots of a stack (the first versions left none).
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        (self.root,) = struct.unpack_from("<H", data, SUPERBLOCK + 14)
        (self.count,) = struct.unpack_from("<Q", data, SUPERBLOCK + 16)
        self.mergeable = self.root << 5 >= META

    def inode(self, nid: int) -> tuple[int, ...]:
        """The inode's fields, as `erofs_layout.INODE` has them."""
        return INODE.unpack_from(self.data, nid << 5)

    def names(self, nid: int) -> list[Dirent]:
        """What is in a directory, without ``.`` and ``..``, in no particular order."""
        return [name for piece in self.listing(nid) for name in piece]

    def listing(self, nid: int) -> Iterator[list[Dirent]]:
        """As `names`, in pieces of a block."""
        for block, _ in self._blocks(nid):
            yield [name for name in _entries(block) if name[0] not in _SELF]

    def entry(self, nid: int, name: bytes) -> tuple[int, int] | None:
        """The inode and type of what `name` is in a directory; looks at few of its blocks."""
        size, start = _HEAD.unpack_from(self.data, (nid << 5) + 8)
        low, high = 0, (size + BLOCK - 1) // BLOCK
        while high - low > 1:  # names are in order
            middle = (low + high) // 2
            at = (start + middle) * BLOCK
            block = self.data[at : at + BLOCK]
            if name < _first_name(block):
                high = middle
            else:
                low = middle
        at = start * BLOCK + low * BLOCK
        block = self.data[at : min(at + BLOCK, start * BLOCK + size)]
        for found, number, kind in _entries(block) if block else ():
            if found == name:
                return number, kind
        return None

    def directories(self, nid: int, parent: int) -> tuple[list[int], bool]:
        """The directories in a directory whose own is `parent`, and whether it has whiteouts."""
        inner = []
        hiding = False
        for block, first in self._blocks(nid):
            for number, _, kind in DIRENT.iter_unpack(block[:first]):
                if kind == DIRECTORY:
                    if number not in (nid, parent):
                        inner.append(number)
                elif kind == CHAR and self.is_whiteout(number):
                    hiding = True
        return inner, hiding

    def is_whiteout(self, nid: int) -> bool:
        """Whether a character device is 0/0."""
        at = (nid << 5) + 16
        return not any(self.data[at : at + 4])

    def area(self, nid: int) -> bytes:
        """The attributes behind an inode, without overlayfs' own, as `erofs_layout.xattr_area`."""
        raw = self.raw_area(nid)
        if not raw or PRIVATE not in raw:
            return raw
        kept = bytearray(12)
        for index, name, piece in _attributes(raw):
            if index != _TRUSTED or not name.startswith(PRIVATE):
                kept += piece
        return bytes(kept) if len(kept) > 12 else b""

    def raw_area(self, nid: int) -> bytes:
        """The attributes behind an inode."""
        at = nid << 5
        count = self.data[at + 2] | self.data[at + 3] << 8
        return self.data[at + 64 : at + 72 + 4 * count] if count else b""

    def is_opaque(self, nid: int) -> bool:
        """Whether a directory hides what lower layers have in it."""
        return any(
            index == _TRUSTED and name == PRIVATE + b"opaque"
            for index, name, _ in _attributes(self.raw_area(nid))
        )

    def is_marked(self, nid: int) -> bool:
        """Whether a directory has attributes of overlayfs."""
        raw = self.raw_area(nid)
        return PRIVATE in raw and raw != self.area(nid)

    def target(self, nid: int) -> bytes:
        """A symlink's target."""
        form, count, _, _, size, address, *_ = self.inode(nid)
        if form >> 1 == 2:
            at = (nid << 5) + INODE.size + (8 + 4 * count if count else 0)
        else:
            at = address * BLOCK
        return self.data[at : at + size]

    def kind(self, nid: int) -> int:
        """The type that a directory says of the inode."""
        return _TYPES[self.inode(nid)[2] >> 12]

    def parent_entry(self, nid: int) -> int:
        """The byte position of a directory's entry for ``..``.

        Raises: ValueError: it has none, so this is no index that was made here.
        """
        at: int = self.inode(nid)[5] * BLOCK
        for block, first in self._blocks(nid):
            for position in range(0, first, 12):
                _, offset, kind = DIRENT.unpack_from(block, position)
                if kind == DIRECTORY and block[offset : offset + 2] == b"..":
                    following = position + 12
                    end = (
                        DIRENT.unpack_from(block, following)[1] if following < first else len(block)
                    )
                    if block[offset:end].rstrip(b"\0") == b"..":
                        return at + position
            at += BLOCK
        raise ValueError(f"inode {nid} has no parent")

    def _blocks(self, nid: int) -> Iterator[tuple[bytes, int]]:
        """A directory's blocks, and where in each the names begin."""
        size, start = _HEAD.unpack_from(self.data, (nid << 5) + 8)
        at = start * BLOCK
        data, end = self.data, at + size
        while at < end:
            block = data[at : min(at + BLOCK, end)]
            yield block, block[8] | block[9] << 8
            at += BLOCK


def enter(
    directories: list[tuple[IndexReader, int]], name: bytes
) -> list[tuple[IndexReader, int]] | None:
    """The directories that `name` is in those of several layers, topmost first.

    Also those that only say what it looks like, as their contents are hidden by an opaque mark.
    """
    found = []
    for reader, nid in directories:
        number, kind = reader.entry(nid, name) or (0, 0)
        if not number:
            continue
        if kind != DIRECTORY:
            break
        found.append((reader, number))
    return found or None


def is_plain(reader: IndexReader, nid: int) -> bool:
    """Whether a directory looks as one does that a layer only implies."""
    _, _, mode, _, _, _, _, uid, gid, seconds, fraction, _ = reader.inode(nid)
    look = (mode & 0o7777, uid, gid, seconds, fraction, reader.area(nid))
    return look == (0o755, 0, 0, 0, 0, b"")


_TYPES = {0o10: 1, 0o4: DIRECTORY, 0o2: CHAR, 0o6: 4, 0o1: 5, 0o12: SYMLINK}


def _entries(block: bytes) -> list[Dirent]:
    """What a block of a directory holds."""
    found: list[Dirent] = []
    heads = list(DIRENT.iter_unpack(block[: block[8] | block[9] << 8]))
    number, at, kind = heads[0]
    for following in heads[1:]:
        found.append((block[at : following[1]], number, kind))
        number, at, kind = following
    # The last name is filled up with zeros.
    found.append((block[at:].rstrip(b"\0"), number, kind))
    return found


def _first_name(block: bytes) -> bytes:
    """The first name in a block of a directory."""
    first = block[8] | block[9] << 8
    return block[first : block[20] | block[21] << 8 if first > 12 else None].rstrip(b"\0")


def _attributes(area: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """The attributes of an area: namespace, rest of the name, all bytes of the attribute."""
    at = 12
    while at < len(area):
        length, index, size = XATTR.unpack_from(area, at)
        end = (at + 4 + length + size + 3) & ~3
        yield index, area[at + 4 : at + 4 + length], area[at:end]
        at = end
