"""Writes the EROFS image that makes a tar mountable: metadata only, the tar is its device 1.

On-disk format: the kernel's ``fs/erofs/erofs_fs.h``; block size 512, so that tar
data, which is aligned to that, can be addressed.  The only incompatible feature
is the device table.

Layout: superblock at 1024, device slots behind it, inodes (root first, so that
its number is small), then directories and long symlink targets in blocks.
Cost: about 7 us of CPU a file, the tar's parsing included.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from corten.archive.entry import Entry, Kind, show
from corten.errors import Invalid, Unsupported
from corten.snapshot.tree import LayerTree, Node

BLOCK = 512
DEVICE_ADDRESS = 1 << 22
"""The block address at which the tar appears: the most blocks that an index may have."""

_SUPERBLOCK = 1024
_SLOTS = 1152
_META = 2048
_SLOT_UNIT = 128
_MAGIC = 0xE0F5E1E2
_NO_BLOCK = 0xFFFFFFFF
_LAST_ADDRESS = 0xFFFFFFFE

_FORMATS: dict[Kind, tuple[int, int]] = {  # mode bits, type in directories
    "file": (0o100000, 1),
    "directory": (0o040000, 2),
    "char": (0o020000, 3),
    "block": (0o060000, 4),
    "fifo": (0o010000, 5),
    "symlink": (0o120000, 7),
}
_PLAIN = 1  # extended inode, flat plain
_INLINE = 1 | 2 << 1
_INODE = struct.Struct("<HHHHQIIIIqII16x")
_DIRENT = struct.Struct("<QHBx")
_XATTR = struct.Struct("<BBH")
_XATTR_PREFIXES = (("user.", 1), ("trusted.", 4), ("security.", 6))
_ACLS = {"system.posix_acl_access": 2, "system.posix_acl_default": 3}


def build_index(tree: LayerTree, data_size: int) -> bytes:
    """The index of `tree`, whose data lies in a file of `data_size` bytes.

    Raises: Invalid, Unsupported: a file that EROFS cannot express, named.
    """
    return _Writer().write(tree, data_size)


class _Writer:
    def __init__(self) -> None:
        self.inodes = bytearray()
        self.blocks: list[bytes] = []
        self.block_count = 0
        self.count = 0
        # Inodes whose address is relative to the first block behind the inodes, by position.
        self.relocations: list[tuple[int, int]] = []

    def write(self, tree: LayerTree, data_size: int) -> bytes:
        root = tree.root
        root.nid = self._place(root, 0)
        queue: list[tuple[Node, int]] = [(root, root.nid)]
        while queue:
            node, parent = queue.pop()
            self._directory(node, parent, queue)
        return self._finish(root.nid, data_size)

    def _directory(self, node: Node, parent: int, queue: list[tuple[Node, int]]) -> None:
        """Place a directory's children and write its blocks."""
        children = node.children or {}
        nid = node.nid
        nlink = 2
        entries: list[tuple[bytes, int, int]] = [(b".", nid, 2), (b"..", parent, 2)]
        inodes, formats, pack, none = self.inodes, _FORMATS, _INODE.pack, _NO_BLOCK
        for name, child in children.items():
            entry = child.entry
            bits, kind = formats[entry.kind]
            number = child.nid
            if number:
                self._another_name(child)
            elif kind == 1 and not entry.xattrs:
                position = len(inodes)
                child.nid = number = (position + _META) >> 5
                child.nlink = 1
                size = entry.size
                address = DEVICE_ADDRESS + (child.offset >> 9) if size else none
                if address + (size >> 9) > _LAST_ADDRESS and size:
                    raise Unsupported(f"{show(entry.name)} lies too far behind in the layer")
                seconds, fraction = divmod(entry.mtime_ns, 1_000_000_000)
                self.count += 1
                inodes += pack(
                    1,
                    0,
                    bits | entry.mode,
                    0,
                    size,
                    address,
                    self.count,
                    entry.uid,
                    entry.gid,
                    seconds,
                    fraction,
                    1,
                )
            else:
                child.nid = number = self._place(child, 1)
                if kind == 2:
                    nlink += 1
                    queue.append((child, nid))
            entries.append((name, number, kind))
        entries.sort()
        start = self.block_count
        size = self._write_blocks(entries)
        at = (nid << 5) - _META
        struct.pack_into("<QI", inodes, at + 8, size, start)
        struct.pack_into("<I", inodes, at + 44, nlink)
        self.relocations.append((at + 16, start))

    def _another_name(self, node: Node) -> None:
        node.nlink += 1
        struct.pack_into("<I", self.inodes, (node.nid << 5) - _META + 44, node.nlink)

    def _write_blocks(self, entries: list[tuple[bytes, int, int]]) -> int:
        """Append a directory's blocks; returns its size in bytes."""
        pack = _DIRENT.pack
        at, end, size = 0, len(entries), 0
        while at < end:
            first, room = at, BLOCK
            while at < end and (need := 12 + len(entries[at][0])) <= room:
                room -= need
                at += 1
            offset = 12 * (at - first)
            heads, names = [], []
            for name, nid, kind in entries[first:at]:
                heads.append(pack(nid, offset, kind))
                names.append(name)
                offset += len(name)
            size += BLOCK if at < end else offset
            heads += names
            if room:
                heads.append(bytes(room))
            self.blocks.append(b"".join(heads))
            self.block_count += 1
        return size

    def _place(self, node: Node, nlink: int) -> int:
        """Write an inode of any kind; a directory's size and address are filled in later."""
        entry = node.entry
        inodes = self.inodes
        position = len(inodes)
        marks = node.marks
        area = _xattr_area(entry, {**entry.xattrs, **marks} if marks else entry.xattrs)
        layout, tail = _PLAIN, b""
        size, address = 0, _NO_BLOCK
        if entry.kind == "file":
            size = entry.size
            if size:
                address = DEVICE_ADDRESS + (node.offset >> 9)
                if address + (size >> 9) > _LAST_ADDRESS:
                    raise Unsupported(f"{show(entry.name)} lies too far behind in the layer")
        elif entry.kind == "symlink":
            size = len(entry.linkname)
            begin = (position + 64 + len(area)) % BLOCK
            if begin + size <= BLOCK:
                layout, tail, address = _INLINE, entry.linkname, 0
            else:
                address = self.block_count
                self.relocations.append((position + 16, address))
                self._append_data(entry.linkname)
        elif entry.kind in ("char", "block"):
            minor = entry.minor
            address = (minor & 0xFF) | entry.major << 8 | (minor & ~0xFF) << 12
        seconds, fraction = divmod(entry.mtime_ns, 1_000_000_000)
        self.count += 1
        inodes += _INODE.pack(
            layout,
            (len(area) - 12) // 4 + 1 if area else 0,
            _FORMATS[entry.kind][0] | entry.mode,
            0,
            size,
            address,
            self.count,
            entry.uid,
            entry.gid,
            seconds,
            fraction,
            nlink,
        )
        node.nlink = nlink
        if area or tail:
            inodes += area
            inodes += tail
            inodes += bytes(-len(inodes) % 64)
        return (position + _META) >> 5

    def _append_data(self, data: bytes) -> None:
        self.blocks.append(data)
        self.blocks.append(bytes(-len(data) % BLOCK))
        self.block_count += (len(data) + BLOCK - 1) // BLOCK

    def _finish(self, root: int, data_size: int) -> bytes:
        inodes = self.inodes
        inodes += bytes(-len(inodes) % BLOCK)
        first = (_META + len(inodes)) // BLOCK
        for at, block in self.relocations:
            struct.pack_into("<I", inodes, at, first + block)
        total = first + self.block_count
        data_blocks = (data_size + BLOCK - 1) // BLOCK
        if total > DEVICE_ADDRESS:
            raise Unsupported(f"the layer's index would have {total} blocks")
        if DEVICE_ADDRESS + data_blocks > _LAST_ADDRESS:
            raise Unsupported(f"the layer is larger ({data_size} bytes) than EROFS can address")
        head = bytearray(_META)
        struct.pack_into(
            "<IIIBBHQQIIII",
            head,
            _SUPERBLOCK,
            _MAGIC,
            0,
            0x2,
            9,
            0,
            root,
            self.count,
            0,
            0,
            total,
            0,
            0,
        )
        # feature_incompat: device table; then no compression, one device, where the slots begin
        struct.pack_into("<IHHH", head, _SUPERBLOCK + 80, 0x8, 0, 1, _SLOTS // _SLOT_UNIT)
        struct.pack_into("<II", head, _SLOTS + 64, data_blocks, DEVICE_ADDRESS)
        return b"".join((head, inodes, *self.blocks))


def _xattr_area(entry: Entry, xattrs: Mapping[str, bytes]) -> bytes:
    """The attributes as they lie behind an inode."""
    if not xattrs:
        return b""
    out = bytearray(12)
    for key in sorted(xattrs):
        value = xattrs[key]
        index = _ACLS.get(key, 0)
        rest = ""
        if not index:
            for prefix, number in _XATTR_PREFIXES:
                if key.startswith(prefix):
                    index, rest = number, key[len(prefix) :]
        name = rest.encode("utf-8", "surrogateescape")
        out += _XATTR.pack(len(name), index, len(value))
        out += name
        out += value
        out += bytes(-len(out) % 4)
    if (len(out) - 12) // 4 + 1 > 0xFFFF:
        raise Invalid(f"{show(entry.name)}: its attributes are too large together")
    return bytes(out)
