"""A second reading of EROFS images, straight from the format's description, to check the writer."""

from __future__ import annotations

import stat
import struct
from typing import NamedTuple

_PREFIXES = {1: "user.", 2: "system.posix_acl_access", 3: "system.posix_acl_default"}
_PREFIXES |= {4: "trusted.", 6: "security."}


class Inode(NamedTuple):
    """What an inode says; `start` is the device's byte offset of a file's data, or None."""

    nid: int
    mode: int
    size: int
    uid: int
    gid: int
    mtime_ns: int
    nlink: int
    rdev: int
    start: int | None
    content: bytes
    xattrs: dict[str, bytes]


class Image:
    """An image without compression, with one device."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        (magic,) = struct.unpack_from("<I", data, 1024)
        assert magic == 0xE0F5E1E2
        assert data[1024 + 12] == 9
        (self.root,) = struct.unpack_from("<H", data, 1024 + 14)
        (self.blocks,) = struct.unpack_from("<I", data, 1024 + 36)
        (self.meta,) = struct.unpack_from("<I", data, 1024 + 40)
        incompatible, _, devices, slot = struct.unpack_from("<IHHH", data, 1024 + 80)
        assert (incompatible, devices) == (8, 1)
        self.device_blocks, self.device = struct.unpack_from("<II", data, slot * 128 + 64)

    def inode(self, nid: int) -> Inode:
        """The inode with number `nid`."""
        at = self.meta * 512 + nid * 32
        fields = struct.unpack_from("<HHHHQIIIIqII", self.data, at)
        form, count, mode, _, size, start, _, uid, gid, seconds, fraction, nlink = fields
        assert form & 1
        assert at % 64 == 0
        area = 12 + 4 * (count - 1) if count else 0
        xattrs = self._xattrs(at + 76, at + 64 + area)
        content, offset, rdev = b"", None, 0
        if stat.S_ISREG(mode):
            offset = (start - self.device) * 512 if size else None
        elif form >> 1 == 2:
            begin = at + 64 + area
            assert begin // 512 == (begin + size - 1) // 512
            content = self.data[begin : begin + size]
        elif stat.S_ISDIR(mode) or stat.S_ISLNK(mode):
            content = self.data[start * 512 : start * 512 + size]
            assert len(content) == size
        else:
            rdev = start
        when = seconds * 10**9 + fraction
        return Inode(nid, mode, size, uid, gid, when, nlink, rdev, offset, content, xattrs)

    def _xattrs(self, at: int, end: int) -> dict[str, bytes]:
        found = {}
        while at < end:
            length, index, size = struct.unpack_from("<BBH", self.data, at)
            name = self.data[at + 4 : at + 4 + length]
            value = self.data[at + 4 + length : at + 4 + length + size]
            found[_PREFIXES[index] + name.decode()] = value
            at += (4 + length + size + 3) & ~3
        return found

    def names(self, inode: Inode) -> list[tuple[bytes, int, int]]:
        """A directory's (name, inode number, type), in the order they are stored."""
        found = []
        for at in range(0, inode.size, 512):
            block = inode.content[at : at + 512]
            (first,) = struct.unpack_from("<H", block, 8)
            heads = [struct.unpack_from("<QHB", block, 12 * i) for i in range(first // 12)]
            ends = [offset for _, offset, _ in heads[1:]] + [len(block)]
            for (nid, offset, kind), end in zip(heads, ends, strict=True):
                found.append((block[offset:end].rstrip(b"\0"), nid, kind))
        return found

    def walk(self) -> dict[bytes, Inode]:
        """Everything by its path; the root is ``b""``."""
        found = {b"": self.inode(self.root)}
        todo = [b""]
        while todo:
            path = todo.pop()
            for name, nid, _ in self.names(found[path]):
                if name not in (b".", b".."):
                    inner = path + b"/" + name if path else name
                    found[inner] = self.inode(nid)
                    if stat.S_ISDIR(found[inner].mode):
                        todo.append(inner)
        return found
