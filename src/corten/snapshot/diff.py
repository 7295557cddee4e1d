"""What a writable directory of an overlay changed, as a layer tar.

Only the upper directory is read.  overlayfs says "deleted" with a character
device 0/0 and "nothing from below" with an attribute; a layer says it with
``.wh.`` names.  Spec: OCI image, layer.md, "Representing Changes", "Whiteouts".
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from corten.archive.entry import NO_XATTRS, Entry, Kind, show
from corten.archive.tar_writer import TarWriter
from corten.errors import Conflict, Invalid, Unavailable, Unsupported
from corten.snapshot.stacks import RootMetadata
from corten.snapshot.tree import OPAQUE_MARK, WHITEOUT_PREFIX
from corten.system.xattr import read_xattrs

_MAX_DEPTH = 500
_PRIVATE = ("trusted.overlay.", "user.overlay.")
_KINDS: dict[int, Kind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
}
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def write_diff(
    upper: Path, write: Callable[[bytes], object], *, root: RootMetadata | None = None
) -> None:
    """Write the tar of the changes in `upper`; members in the order of their names.

    `root` is what the layers below say of the root directory: it is only
    mentioned if it differs.  Sockets are left out (tar has none).

    Raises: Invalid: a name that would be taken for a whiteout; Conflict: a file
    changed while it was read; Unsupported: a tree deeper than 500 directories.
    """
    writer = TarWriter(write)
    walk = _Walk(writer)
    try:
        walk.run(upper, root or RootMetadata(0o755, 0, 0, 0))
    except FileNotFoundError as error:
        raise Conflict(f"{error.filename!r} went away while the snapshot was read") from error
    except OSError as error:
        raise Unavailable(f"cannot read the snapshot: {error}") from error
    writer.finish()


class _Walk:
    def __init__(self, writer: TarWriter) -> None:
        self._writer = writer
        # The first name of files that have several.
        self._names: dict[tuple[int, int], bytes] = {}

    def run(self, upper: Path, root: RootMetadata) -> None:
        levels: list[tuple[int, bytes, Iterator[bytes]]] = []
        try:
            fd = os.open(upper, _DIRECTORY)
            levels.append((fd, b"", iter(_names(fd))))
            self._root(fd, root)
            while levels:
                fd, path, names = levels[-1]
                name = next(names, None)
                if name is None:
                    os.close(fd)
                    levels.pop()
                    continue
                inner = self._member(fd, path, name)
                if inner is not None:
                    if len(levels) >= _MAX_DEPTH:
                        os.close(inner)
                        raise Unsupported(f"{show(path + name)} lies too deep")
                    levels.append((inner, path + name + b"/", iter(_names(inner))))
        finally:
            for fd, _, _ in levels:
                os.close(fd)

    def _root(self, fd: int, root: RootMetadata) -> None:
        status = os.fstat(fd)
        opaque, xattrs = _attributes(f"/proc/self/fd/{fd}/.")
        now = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
        if now != (root.mode, root.uid, root.gid) or xattrs:
            self._writer.add(_entry(b"./", "directory", status, xattrs))
        if opaque:
            self._mark(OPAQUE_MARK)

    def _member(self, fd: int, path: bytes, name: bytes) -> int | None:
        """Write one member; returns the descriptor of a directory, to go on in it."""
        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        full = path + name
        if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
            self._mark(path + WHITEOUT_PREFIX + name)
            return None
        if name.startswith(WHITEOUT_PREFIX):
            raise Invalid(
                f"{show(full)} cannot be kept in a layer: its name says that a file was deleted",
                hint="name it otherwise",
            )
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return None
        if kind != "directory" and status.st_nlink > 1:
            first = self._names.setdefault((status.st_dev, status.st_ino), full)
            if first != full:
                self._writer.add(_entry(full, "link", status, {}, first))
                return None
        if kind == "directory":
            return self._directory(fd, full, name)
        if kind == "file":
            self._file(fd, full, name)
            return None
        link = os.readlink(name, dir_fd=fd) if kind == "symlink" else b""
        _, xattrs = _attributes(b"/proc/self/fd/%d/%b" % (fd, name))
        self._writer.add(_entry(full, kind, status, xattrs, link))
        return None

    def _directory(self, fd: int, full: bytes, name: bytes) -> int:
        inner = os.open(name, _DIRECTORY, dir_fd=fd)
        try:
            opaque, xattrs = _attributes(f"/proc/self/fd/{inner}/.")
            self._writer.add(_entry(full, "directory", os.fstat(inner), xattrs))
            if opaque:
                self._mark(full + b"/" + OPAQUE_MARK)
        except BaseException:
            os.close(inner)
            raise
        return inner

    def _file(self, fd: int, full: bytes, name: bytes) -> None:
        file = os.open(name, _FILE, dir_fd=fd)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise Conflict(f"{show(full)} changed while the snapshot was read")
            _, xattrs = _attributes(file)
            self._writer.add(_entry(full, "file", status, xattrs), file)
        finally:
            os.close(file)

    def _mark(self, name: bytes) -> None:
        self._writer.add(Entry(name, "file", 0))


def _names(fd: int) -> list[bytes]:
    return sorted(os.fsencode(name) for name in os.listdir(fd))


def _attributes(place: int | str | bytes) -> tuple[bool, dict[str, bytes]]:
    """Whether overlayfs calls it opaque, and the attributes that are not overlayfs's own."""
    found = read_xattrs(place)
    opaque = found.get("trusted.overlay.opaque") == b"y"
    return opaque, {key: value for key, value in found.items() if not key.startswith(_PRIVATE)}


def _entry(
    name: bytes,
    kind: Kind,
    status: os.stat_result,
    xattrs: dict[str, bytes],
    link: bytes = b"",
) -> Entry:
    device = status.st_rdev if kind in ("char", "block") else 0
    return Entry(
        name,
        kind,
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        status.st_size if kind == "file" else 0,
        status.st_mtime_ns,
        link,
        os.major(device),
        os.minor(device),
        xattrs or NO_XATTRS,
    )
