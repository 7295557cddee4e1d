"""One member of a tar archive, as a value."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

Kind = Literal["file", "directory", "symlink", "link", "char", "block", "fifo"]
"""What a member is; ``link`` is a hard link to an earlier member."""

KINDS: Mapping[int, Kind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
}
"""What becomes of a file, by the type that its mode has.  Of sockets nothing does."""

NO_XATTRS: Mapping[str, bytes] = MappingProxyType({})

ID_LIMIT = 0xFFFFFFFE
"""The largest user or group id that Linux knows."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A tar member's metadata.

    ``name`` and ``linkname`` are bytes as in the archive (not cleaned, no NUL).
    ``mode`` holds the twelve permission bits.  ``size`` is the size of the file
    that comes of it (with the holes of a sparse member), in bytes; ``mtime_ns``
    nanoseconds since 1970.  ``xattrs`` maps full names (``user.x``; bytes that
    are not UTF-8 as surrogates) to values.  ``sparse`` lists (offset, length) of
    the stretches that a sparse member stores, else None.
    """

    name: bytes
    kind: Kind = "file"
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    linkname: bytes = b""
    major: int = 0
    minor: int = 0
    xattrs: Mapping[str, bytes] = NO_XATTRS
    sparse: tuple[tuple[int, int], ...] | None = None


Member = tuple[Entry, int, int]
"""An entry, the offset of its data in the archive, and how many bytes are stored there."""


def show(name: bytes) -> str:
    """A name for a message: what is not printable is escaped, what is long is cut."""
    text = name.decode("utf-8", "backslashreplace")
    text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
    return text if len(text) <= 200 else f"{text[:200]}…"
