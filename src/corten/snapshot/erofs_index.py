"""Writes the EROFS image that makes a layer's tar mountable: metadata only, the tar is its device.

The format and the layout: :mod:`corten.snapshot.erofs_layout`.
Cost: 6 to 8 us of CPU a file, of which parsing the tar is 4 to 5 (9 where each file has
a pax header).
"""

from __future__ import annotations

from corten.archive.entry import show
from corten.errors import Unsupported
from corten.snapshot.erofs_layout import (
    DEVICE_ADDRESS,
    DIRECTORY,
    FORMATS,
    INODE,
    LAST_ADDRESS,
    META,
    NO_BLOCK,
    PLAIN,
    Device,
    Dirent,
    Parts,
    blocks_of,
    superblock,
    xattr_area,
)
from corten.snapshot.tree import LayerTree, Node


def build_index(tree: LayerTree, data_size: int) -> bytes:
    """The index of `tree`, whose data lies in a file of `data_size` bytes.

    The tree is taken apart on the way: a million files in both forms are too much memory.
    Raises: Invalid, Unsupported: a file that EROFS cannot express, named.
    """
    parts = Parts(META)
    root = tree.root
    root.nid = _place(parts, root)
    queue: list[tuple[Node, int]] = [(root, root.nid)]
    while queue:
        node, parent = queue.pop()
        _directory(parts, node, parent, queue)
    blocks = parts.finish() + parts.block_count
    head = superblock(root.nid, parts.count, blocks, [Device(blocks_of(data_size), DEVICE_ADDRESS)])
    return b"".join((head, bytes(META - len(head)), parts.inodes, *parts.blocks))


def _directory(parts: Parts, node: Node, parent: int, queue: list[tuple[Node, int]]) -> None:
    """Place a directory's children and write its blocks."""
    nid = node.nid
    nlink = 2
    entries: list[Dirent] = [(b".", nid, 2), (b"..", parent, 2)]
    inodes, formats, pack, none = parts.inodes, FORMATS, INODE.pack, NO_BLOCK
    for name, child in (node.children or {}).items():
        entry = child.entry
        bits, kind = formats[entry.kind]
        number = child.nid
        if number:
            child.nlink += 1
            parts.set_links(number, child.nlink)
        elif kind <= DIRECTORY and not entry.xattrs and not child.opaque and not child.hiding:
            # As `_place` does it, without the calls: most of what layers hold is this.
            child.nid = number = (len(inodes) + META) >> 5
            child.nlink = 1
            size, address = 0, none
            if kind == DIRECTORY:
                nlink += 1
                queue.append((child, nid))
            elif size := entry.size:
                address = DEVICE_ADDRESS + (child.offset >> 9)
                if address + (size >> 9) > LAST_ADDRESS:
                    raise _too_far(child)
            seconds, fraction = divmod(entry.mtime_ns, 1_000_000_000)
            parts.count += 1
            inodes += pack(
                PLAIN,
                0,
                bits | entry.mode,
                0,
                size,
                address,
                parts.count,
                entry.uid,
                entry.gid,
                seconds,
                fraction,
                1,
            )
        else:
            child.nid = number = _place(parts, child)
            if kind == DIRECTORY:
                nlink += 1
                queue.append((child, nid))
        entries.append((name, number, kind))
    if node.children is not None:
        node.children.clear()
    start, size = parts.add_directory(entries)
    parts.fill_directory(nid, start, size, nlink)


def _place(parts: Parts, node: Node) -> int:
    """Write an inode of any kind; a directory's size and address are filled in later."""
    entry = node.entry
    marks = node.marks
    area = xattr_area(entry, {**entry.xattrs, **marks} if marks else entry.xattrs)
    size, address, target = 0, NO_BLOCK, b""
    if entry.kind == "file":
        size = entry.size
        if size:
            address = DEVICE_ADDRESS + (node.offset >> 9)
            if address + (size >> 9) > LAST_ADDRESS:
                raise _too_far(node)
    elif entry.kind == "symlink":
        target = entry.linkname
    elif entry.kind in ("char", "block"):
        minor = entry.minor
        address = (minor & 0xFF) | entry.major << 8 | (minor & ~0xFF) << 12
    seconds, fraction = divmod(entry.mtime_ns, 1_000_000_000)
    mode = FORMATS[entry.kind][0] | entry.mode
    fields = (mode, size, address, entry.uid, entry.gid, seconds, fraction, 1)
    node.nlink = 1
    return parts.add_inode(fields, area, target)


def _too_far(node: Node) -> Unsupported:
    return Unsupported(f"{show(node.entry.name)} lies too far behind in the layer")
