"""Tars for tests: from entries, or header by header where the writer would refuse."""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from corten.archive.entry import Entry, Member
from corten.archive.tar_reader import TarScanner
from corten.archive.tar_writer import TarWriter
from corten.oci.digest import Digest

END = bytes(1024)


def pack(*members: Entry | tuple[Entry, bytes]) -> bytes:
    """A whole tar of `members`; a file without data gets zeros."""
    out = bytearray()
    writer = TarWriter(out.extend)
    for member in members:
        entry, data = member if isinstance(member, tuple) else (member, None)
        if data is None and entry.kind == "file" and entry.size:
            data = bytes(entry.size)
        writer.add(entry, data)
    writer.finish()
    return bytes(out)


def file(name: bytes, data: bytes = b"", **more: object) -> tuple[Entry, bytes]:
    """A file and its data."""
    return Entry(name, "file", size=len(data), **more), data  # type: ignore[arg-type]


def directory(name: bytes, mode: int = 0o755, **more: object) -> Entry:
    """A directory."""
    return Entry(name, "directory", mode, **more)  # type: ignore[arg-type]


def symlink(name: bytes, target: bytes) -> Entry:
    """A symlink."""
    return Entry(name, "symlink", 0o777, linkname=target)


def link(name: bytes, target: bytes) -> Entry:
    """A hard link."""
    return Entry(name, "link", linkname=target)


def header(
    name: bytes = b"file",
    *,
    flag: bytes = b"0",
    size: bytes | int = 0,
    mode: bytes = b"0000644\0",
    uid: bytes = b"0000000\0",
    gid: bytes = b"0000000\0",
    mtime: bytes = b"00000000000\0",
    linkname: bytes = b"",
    magic: bytes = b"ustar\x0000",
    devices: bytes = bytes(16),
    prefix: bytes = b"",
    checksum: bytes | None = None,
) -> bytes:
    """One header block, every field as it is wanted."""
    number = b"%011o\0" % size if isinstance(size, int) else size
    block = struct.pack(
        "100s8s8s8s12s12s8s1s100s8s32s32s16s155s12x",
        name,
        mode,
        uid,
        gid,
        number,
        mtime,
        b" " * 8,
        flag,
        linkname,
        magic,
        b"",
        b"",
        devices,
        prefix,
    )
    if checksum is None:
        checksum = b"%06o\0 " % sum(block)
    return block[:148] + checksum + block[156:]


def padded(data: bytes) -> bytes:
    """`data` filled up to whole blocks."""
    return data + bytes(-len(data) % 512)


def pax(records: dict[bytes, bytes] | bytes, flag: bytes = b"x") -> bytes:
    """A pax extension header with its body."""
    if isinstance(records, dict):
        records = b"".join(record(key, value) for key, value in records.items())
    return header(b"PaxHeaders/x", flag=flag, size=len(records)) + padded(records)


def record(key: bytes, value: bytes) -> bytes:
    """One pax record, its length found by trying."""
    body = b" " + key + b"=" + value + b"\n"
    length = len(body)
    while len(str(length)) + len(body) != length:
        length = len(str(length)) + len(body)
    return str(length).encode() + body


def scan(data: bytes, step: int = 1 << 20) -> list[Member]:
    """The members that a scanner finds in `data`, fed in pieces of `step` bytes."""
    scanner = TarScanner()
    members = []
    for at in range(0, len(data), step):
        members += scanner.feed(data[at : at + step])
    scanner.finish()
    return members


def entries(data: bytes) -> list[Entry]:
    """The entries of a tar."""
    return [member[0] for member in scan(data)]


def write_tar(path: Path, data: bytes) -> tuple[Digest, Path]:
    """Keep a tar as a file; its diff id and the path."""
    path.write_bytes(data)
    return Digest(f"sha256:{hashlib.sha256(data).hexdigest()}"), path


Look = tuple[object, ...]


def look(
    root: Path, *, times: bool = True, content: bool = True, skip: Iterable[bytes] = ()
) -> dict[bytes, Look]:
    """Everything that can be seen of a tree, by path; hard links name their first path.

    Without `content` files are not read.
    """
    seen: dict[bytes, Look] = {}
    first: dict[tuple[int, int], bytes] = {}
    for full in _walk(root, root, frozenset(skip)):
        path = os.fsencode(full.relative_to(root))
        status = full.lstat()
        held: object = b""
        if stat.S_ISREG(status.st_mode) and content:
            held = hashlib.sha256(full.read_bytes()).hexdigest()
        elif stat.S_ISLNK(status.st_mode):
            held = os.fsencode(full.readlink())
        elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
            held = (os.major(status.st_rdev), os.minor(status.st_rdev))
        xattrs = tuple(
            (name, os.getxattr(full, name, follow_symlinks=False))
            for name in sorted(os.listxattr(full, follow_symlinks=False))
            if not name.startswith("trusted.overlay.")
        )
        same = path
        whole = not stat.S_ISDIR(status.st_mode)
        if whole and status.st_nlink > 1:
            same = first.setdefault((status.st_dev, status.st_ino), path)
        seen[path] = (
            stat.S_IFMT(status.st_mode),
            stat.S_IMODE(status.st_mode),
            status.st_uid,
            status.st_gid,
            status.st_size if whole else 0,
            status.st_mtime_ns if times else 0,
            held,
            xattrs,
            same,
            status.st_nlink if whole else 0,
        )
    return seen


def _walk(root: Path, directory: Path, skip: frozenset[bytes]) -> Iterator[Path]:
    for path in sorted(directory.iterdir()):
        if os.fsencode(path.relative_to(root)) in skip:
            continue
        yield path
        if stat.S_ISDIR(path.lstat().st_mode):
            yield from _walk(root, path, skip)
