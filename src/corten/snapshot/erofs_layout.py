"""The EROFS format as far as an index uses it, and the parts of one on their way to a file.

On-disk format: the kernel's ``fs/erofs/erofs_fs.h``; block size 512, so that tar data,
which is aligned to that, can be addressed.  The only incompatible feature is the
device table.

Layout: superblock at 1024; behind it room for the slots of `SLOTS` devices, so that a
layer's index can become the index of a stack without anything in it moving; inodes
(root first, so that its number is small); directories and long symlink targets in blocks.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from corten.archive.entry import Entry, Kind, show
from corten.errors import Invalid, Unsupported

BLOCK = 512
DEVICE_ADDRESS = 1 << 22
"""The block address at which the first tar appears: the most blocks that an index may have."""
LAST_ADDRESS = 0xFFFFFFFE
NO_BLOCK = 0xFFFFFFFF

SUPERBLOCK = 1024
SLOT_TABLE = 1152
SLOT = 128
META = 35 * BLOCK
"""Where an index's inodes begin."""
SLOTS = (META - SLOT_TABLE) // SLOT
"""How many devices an index may have."""
MAGIC = 0xE0F5E1E2
_DEVICE_TABLE = 0x8

FORMATS: dict[Kind, tuple[int, int]] = {  # mode bits, type in directories
    "file": (0o100000, 1),
    "directory": (0o040000, 2),
    "char": (0o020000, 3),
    "block": (0o060000, 4),
    "fifo": (0o010000, 5),
    "symlink": (0o120000, 7),
}
FILE, DIRECTORY, CHAR, SYMLINK = 1, 2, 3, 7
PLAIN = 1  # extended inode, flat plain
INLINE = 1 | 2 << 1
INODE = struct.Struct("<HHHHQIIIIqII16x")
"""Format, attribute count, mode, 0, size, address or device, number, uid, gid, seconds,
nanoseconds, links."""
DIRENT = struct.Struct("<QHBx")
XATTR = struct.Struct("<BBH")
XATTR_PREFIXES = (("user.", 1), ("trusted.", 4), ("security.", 6))
_ACLS = {"system.posix_acl_access": 2, "system.posix_acl_default": 3}

_FEW = BLOCK // 13

Dirent = tuple[bytes, int, int]
"""A name in a directory: its bytes, the inode's number, the type."""


class Device(NamedTuple):
    """A file that an index points into: how many blocks it has, and the address of the first."""

    blocks: int
    address: int


class Parts:
    """Inodes and blocks of an index that is being made.

    Inodes begin at byte `origin` of the file, the blocks follow.  ``relocations`` says
    where an inode (a byte position among the inodes) has a block address that still is
    relative to the first block.
    """

    def __init__(self, origin: int) -> None:
        self.origin = origin
        self.inodes = bytearray()
        self.blocks: list[bytes] = []
        self.block_count = 0
        self.count = 0
        self.relocations: list[tuple[int, int]] = []

    def add_inode(self, fields: Sequence[int], area: bytes, target: bytes = b"") -> int:
        """Append an inode; returns its number.

        `fields` are mode, size, address or device, uid, gid, seconds, nanoseconds, links;
        `area` its attributes (:func:`xattr_area`); `target` a symlink's target, which goes
        behind them if it fits into that block, else into blocks.
        """
        mode, size, address, uid, gid, seconds, fraction, nlink = fields
        inodes = self.inodes
        position = len(inodes)
        layout, tail = PLAIN, b""
        if target:
            size = len(target)
            begin = (position + self.origin + INODE.size + len(area)) % BLOCK
            if begin + size <= BLOCK:
                layout, tail, address = INLINE, target, 0
            else:
                address = self.block_count
                self.relocations.append((position + 16, address))
                self._add_data(target)
        self.count += 1
        count = (len(area) - 12) // 4 + 1 if area else 0
        inodes += INODE.pack(
            layout, count, mode, 0, size, address, self.count, uid, gid, seconds, fraction, nlink
        )
        if area or tail:
            inodes += area
            inodes += tail
            inodes += bytes(-len(inodes) % 64)
        return (position + self.origin) >> 5

    def set_links(self, nid: int, nlink: int) -> None:
        """How many names an inode among these has."""
        struct.pack_into("<I", self.inodes, (nid << 5) - self.origin + 44, nlink)

    def add_directory(self, entries: list[Dirent]) -> tuple[int, int]:
        """Append a directory's blocks, entries in any order.

        Returns the first block's number among the blocks, and the size in bytes.
        """
        entries.sort()
        start = self.block_count
        at, end, size = 0, len(entries), 0
        if end <= _FEW and len(block := _dirents(entries)) <= BLOCK:
            self.blocks.append(block.ljust(BLOCK, b"\0"))
            self.block_count += 1
            return start, len(block)
        while at < end:
            first, room = at, BLOCK
            while at < end and (need := 12 + len(entries[at][0])) <= room:
                room -= need
                at += 1
            block = _dirents(entries[first:at])
            size += BLOCK if at < end else len(block)
            self.blocks.append(block.ljust(BLOCK, b"\0"))
            self.block_count += 1
        return start, size

    def fill_directory(self, nid: int, start: int, size: int, nlink: int) -> None:
        """Tell a directory's inode among these where its blocks are."""
        at = (nid << 5) - self.origin
        struct.pack_into("<QI", self.inodes, at + 8, size, start)
        struct.pack_into("<I", self.inodes, at + 44, nlink)
        self.relocations.append((at + 16, start))

    def finish(self) -> int:
        """No more inodes: resolve the relocations; returns the first block's address.

        The file is complete with ``inodes`` at ``origin`` and ``blocks`` behind them.
        Raises: Unsupported: it would be too large.
        """
        inodes = self.inodes
        inodes += bytes(-(self.origin + len(inodes)) % BLOCK)
        first = (self.origin + len(inodes)) // BLOCK
        for at, block in self.relocations:
            struct.pack_into("<I", inodes, at, first + block)
        total = first + self.block_count
        if total > DEVICE_ADDRESS:
            raise Unsupported(f"the index would have {total} blocks")
        return first

    def _add_data(self, data: bytes) -> None:
        self.blocks.append(data)
        self.blocks.append(bytes(-len(data) % BLOCK))
        self.block_count += (len(data) + BLOCK - 1) // BLOCK


def _dirents(entries: list[Dirent]) -> bytes:
    """A directory's block without what fills it up."""
    pack = DIRENT.pack
    offset = 12 * len(entries)
    pieces = []
    for name, nid, kind in entries:
        pieces.append(pack(nid, offset, kind))
        offset += len(name)
    pieces += [entry[0] for entry in entries]
    return b"".join(pieces)


def superblock(root: int, inodes: int, blocks: int, devices: Sequence[Device]) -> bytes:
    """The beginning of an index, up to the end of its last device's slot.

    `root` is the number of the root's inode (16 bits), `inodes` how many there are,
    `blocks` how many the index has.  Raises: Unsupported: too many or too large devices.
    """
    if len(devices) > SLOTS:
        raise Unsupported(f"{len(devices)} layers are more than one index can have ({SLOTS})")
    head = bytearray(SLOT_TABLE + SLOT * len(devices))
    # Compatible feature: the times are modification times.
    fields = (MAGIC, 0, 0x2, 9, 0, root, inodes, 0, 0, blocks, 0, 0)
    struct.pack_into("<IIIBBHQQIIII", head, SUPERBLOCK, *fields)
    more = (_DEVICE_TABLE, 0, len(devices), SLOT_TABLE // SLOT)
    struct.pack_into("<IHHH", head, SUPERBLOCK + 80, *more)
    for number, device in enumerate(devices):
        if device.address + device.blocks > LAST_ADDRESS:
            raise Unsupported("the layers are larger together than EROFS can address (2 TiB)")
        struct.pack_into("<II", head, SLOT_TABLE + SLOT * number + 64, *device)
    return bytes(head)


def blocks_of(size: int) -> int:
    """How many blocks `size` bytes take."""
    return (size + BLOCK - 1) // BLOCK


def xattr_area(entry: Entry, xattrs: Mapping[str, bytes]) -> bytes:
    """The attributes as they lie behind an inode.  Raises: Invalid: too large, `entry` named."""
    if not xattrs:
        return b""
    out = bytearray(12)
    for key in sorted(xattrs):
        value = xattrs[key]
        index = _ACLS.get(key, 0)
        rest = ""
        if not index:
            for prefix, number in XATTR_PREFIXES:
                if key.startswith(prefix):
                    index, rest = number, key[len(prefix) :]
        name = rest.encode("utf-8", "surrogateescape")
        out += XATTR.pack(len(name), index, len(value))
        out += name
        out += value
        out += bytes(-len(out) % 4)
    if (len(out) - 12) // 4 + 1 > 0xFFFF:
        raise Invalid(f"{show(entry.name)}: its attributes are too large together")
    return bytes(out)
