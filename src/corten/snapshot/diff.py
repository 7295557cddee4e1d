"""What a writable directory of an overlay changed, as a layer tar.

Only the upper directory is read.  overlayfs says "deleted" with a character
device 0/0 and "nothing from below" with an attribute; a layer says it with
``.wh.`` names.  Spec: OCI image, layer.md, "Representing Changes", "Whiteouts".

The bytes follow from the tree alone: members come in the order of their names'
bytes, a directory before what is in it, a file with several names under the first
of them.  Inode numbers, the order of changes and of directories play no part;
what a file system's layout can change is told in :mod:`corten.archive.holes`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from corten.archive.entry import KINDS, NO_XATTRS, Entry, Kind, show
from corten.archive.holes import Stretches, find_stretches, is_sparse
from corten.archive.tar_writer import TarWriter
from corten.errors import Conflict, Invalid, Unavailable, Unsupported
from corten.snapshot.members import OPAQUE_MARK, PATH_MAX, WHITEOUT_PREFIX
from corten.snapshot.stacks import RootMetadata
from corten.system.xattr import layer_attributes, read_xattrs

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def write_diff(
    upper: Path, write: Callable[[bytes], object], *, root: RootMetadata | None = None
) -> None:
    """Write the tar of the changes in `upper`; members in the order of their names.

    `root` is what the layers below say of the root directory, which is only mentioned
    if it differs; None: `upper` lies on nothing, it is a whole tree.  Tar has no sockets: they are left out, and what they
    stand in the place of is deleted.  A file that grows meanwhile is taken with the
    size it had.

    Raises: Invalid: a name that would be taken for a whiteout; Conflict: a file
    became shorter or went away while it was read; Unsupported: a path longer than
    4096 bytes, which no layer may have.
    Cost: one descriptor, however deep the tree; five system calls a small file.
    """
    writer = TarWriter(write)
    try:
        _Walk(writer).run(upper, root)
    except FileNotFoundError as error:
        raise Conflict(f"{error.filename!r} went away while the snapshot was read") from error
    except BrokenPipeError:
        raise  # of `write`: whoever reads has enough
    except OSError as error:
        raise Unavailable(f"cannot read the snapshot: {error}") from error
    writer.finish()


class _Level(NamedTuple):
    """A directory on the way down: what is left in it, and how to know it again.

    ``merged`` tells that lower layers may have this directory, too.
    """

    path: bytes
    names: Iterator[tuple[bytes, bool]]
    identity: tuple[int, int]
    merged: bool


class _Walk:
    """The way through the tree, with a descriptor of the directory where it is."""

    def __init__(self, writer: TarWriter) -> None:
        self._writer = writer
        self._here = -1
        # The first name of files that have several.
        self._names: dict[tuple[int, int], bytes] = {}

    def run(self, upper: Path, root: RootMetadata | None) -> None:
        self._here = os.open(upper, _DIRECTORY)
        try:
            levels = [self._root(root)]
            while levels:
                below = self._next_directory(levels[-1])
                if below is not None:
                    levels.append(below)
                    continue
                levels.pop()
                if levels:
                    self._return(levels[-1])
        finally:
            os.close(self._here)

    def _next_directory(self, level: _Level) -> _Level | None:
        """Write what comes next in a directory up to a directory, and go into that."""
        for name, is_file in level.names:
            if is_file:
                self._file(level.path + name, name)
            else:
                below = self._other(level, name)
                if below is not None:
                    return below
        return None

    def _return(self, level: _Level) -> None:
        """Go up to `level`, unless the directory was moved elsewhere meanwhile."""
        above = os.open(b"..", _DIRECTORY, dir_fd=self._here)
        os.close(self._here)
        self._here = above
        if _identity(os.fstat(above)) != level.identity:
            where = show(level.path) or "a directory"
            raise Conflict(f"something in {where} was moved while the snapshot was read")

    def _root(self, root: RootMetadata | None) -> _Level:
        status = os.fstat(self._here)
        found = read_xattrs(self._here)
        xattrs = layer_attributes(found)
        now = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
        was = (root.mode, root.uid, root.gid) if root else (0o755, 0, 0)
        if now != was or xattrs:
            self._writer.add(_entry(b"./", "directory", status, xattrs))
        return self._level(b"", status, found, merged=root is not None)

    def _level(
        self, path: bytes, status: os.stat_result, found: dict[str, bytes], *, merged: bool
    ) -> _Level:
        if found.get("trusted.overlay.opaque") == b"y":
            self._mark(path + OPAQUE_MARK)
            merged = False
        with os.scandir(self._here) as entries:
            names = sorted(
                (os.fsencode(entry.name), entry.is_file(follow_symlinks=False)) for entry in entries
            )
        return _Level(path, iter(names), _identity(status), merged)

    def _file(self, full: bytes, name: bytes) -> None:
        file = os.open(name, _FILE, dir_fd=self._here)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise Conflict(f"{show(full)} changed while the snapshot was read")
            self._check(full, name)
            xattrs = layer_attributes(read_xattrs(file))
            if status.st_nlink > 1 and self._linked(full, status, xattrs):
                return
            stretches = find_stretches(file, status.st_size) if is_sparse(status) else None
            entry = _entry(full, "file", status, xattrs, sparse=stretches)
            self._writer.add(entry, file)
        finally:
            os.close(file)

    def _other(self, level: _Level, name: bytes) -> _Level | None:
        """Write what is no regular file; of a directory, the way on in it."""
        status = os.stat(name, dir_fd=self._here, follow_symlinks=False)
        full = level.path + name
        if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
            self._mark(level.path + WHITEOUT_PREFIX + name)
            return None
        self._check(full, name)
        kind = KINDS.get(stat.S_IFMT(status.st_mode))
        if kind == "directory":
            return self._directory(full, name)
        if kind is None:
            # A whiteout that has nothing to hide would show up in the directory's list.
            if level.merged:
                self._mark(level.path + WHITEOUT_PREFIX + name)
            return None
        if kind == "file":
            raise Conflict(f"{show(full)} changed while the snapshot was read")
        xattrs = layer_attributes(read_xattrs(b"/proc/self/fd/%d/%b" % (self._here, name)))
        if status.st_nlink > 1 and self._linked(full, status, xattrs):
            return None
        link = os.readlink(name, dir_fd=self._here) if kind == "symlink" else b""
        self._writer.add(_entry(full, kind, status, xattrs, link))
        return None

    def _directory(self, full: bytes, name: bytes) -> _Level:
        below = os.open(name, _DIRECTORY, dir_fd=self._here)
        os.close(self._here)
        self._here = below
        status = os.fstat(below)
        found = read_xattrs(below)
        self._writer.add(_entry(full, "directory", status, layer_attributes(found)))
        # overlayfs remembers where it copied a directory from, be it in vain (then empty).
        merged = "trusted.overlay.origin" in found
        return self._level(full + b"/", status, found, merged=merged)

    def _linked(self, full: bytes, status: os.stat_result, xattrs: dict[str, bytes]) -> bool:
        """Whether the file was written under an earlier name, which this one now links to."""
        # With all metadata: docker and podman give a link's to the file once more, and the
        # kernel takes a file's capabilities away with each new owner.
        first = self._names.setdefault(_identity(status), full)
        if first == full:
            return False
        self._writer.add(_entry(full, "link", status, xattrs, first))
        return True

    def _check(self, full: bytes, name: bytes) -> None:
        if name.startswith(WHITEOUT_PREFIX):
            raise Invalid(
                f"{show(full)} cannot be kept in a layer: its name says that a file was deleted",
                hint="name it otherwise",
            )
        if len(full) > PATH_MAX:
            raise Unsupported(f"{show(full)} lies too deep: its path has {len(full)} bytes")

    def _mark(self, name: bytes) -> None:
        self._writer.add(Entry(name, "file", 0))


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _entry(
    name: bytes,
    kind: Kind,
    status: os.stat_result,
    xattrs: dict[str, bytes],
    link: bytes = b"",
    *,
    sparse: Stretches | None = None,
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
        sparse,
    )
