"""A layer as a driver keeps it, compared with its tar path by path."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from corten.archive.entry import Entry, show
from corten.archive.holes import next_data
from corten.snapshot.expansion import arrange
from corten.snapshot.holdings import LayerRecord
from corten.snapshot.stacking import root_metadata
from corten.snapshot.tree import LayerTree, Node

PIECE = 1024 * 1024
_FORMS = {
    "file": stat.S_IFREG,
    "directory": stat.S_IFDIR,
    "symlink": stat.S_IFLNK,
    "char": stat.S_IFCHR,
    "block": stat.S_IFBLK,
    "fifo": stat.S_IFIFO,
}
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ACL = "system.posix_acl_access"
_LONG = 4 + 4 * 8
"""The size of an access control list that names more than owner, group and others."""
_TIMES = (1 << 31) * 1_000_000_000
"""Times farther from 1970 are kept by file systems as far as they can."""


def record_difference(record: LayerRecord, tree: LayerTree) -> str:
    """What a layer's record says otherwise than the `tree` of its tar; empty: nothing."""
    wanted = {
        "whiteouts": tree.whiteouts,
        "root": root_metadata(tree.explicit_root),
        "links": tree.links,
        "opaque": tree.root.opaque,
        "implied": tree.implied,
    }
    wrong = [name for name, value in wanted.items() if getattr(record, name) != value]
    return f"its record is not the tar's ({', '.join(wrong)})" if wrong else ""


def index_difference(layer: Path, tar: Path, tree: LayerTree) -> str:
    """How the erofs layer in the directory `layer` differs from one made of `tar`.

    In a few words; empty: it does not.  `tree` is the tar's, and is taken apart.
    Sparse files, which are written out behind the tar, are compared byte by byte.
    """
    from corten.snapshot.erofs_index import build_index

    size = (layer / "data").stat().st_size
    if tree.sparse:
        with (layer / "data").open("rb") as data, tar.open("rb") as source:
            if not _same_expanded(tree, data.fileno(), source.fileno()):
                return "its sparse files are not the tar's"
    fresh = build_index(tree, size)
    return "" if (layer / "index").read_bytes() == fresh else "its index is not the tar's"


def _same_expanded(tree: LayerTree, data: int, source: int) -> bool:
    """Whether what lies behind the tar in `data` is what the tar stores, and zeros between."""
    at = os.fstat(source).st_size
    for stored, start, count in arrange(tree, at):
        if not (_is_zero(data, at, start) and _same_range(data, start, source, stored, count)):
            return False
        at = start + count
    return _is_zero(data, at, os.fstat(data).st_size)


def _is_zero(file: int, at: int, end: int) -> bool:
    """Whether a stretch has nothing but zeros; holes are not read."""
    while at < end:
        at, stop = next_data(file, at, end)
        while at < min(stop, end):
            piece = os.pread(file, min(PIECE, stop - at, end - at), at)
            if not piece or any(piece):
                return False
            at += len(piece)
    return True


def tree_difference(directory: Path, tar: Path, tree: LayerTree) -> str:
    """The first path of an extracted layer that is not as `tar`, whose tree is given, has it.

    Kinds, owners, modes, times, attributes, hard links, targets and content.  Empty: none.
    """
    with tar.open("rb") as source:
        try:
            return next(_differences(directory, tree, source.fileno()), "")
        except OSError as error:
            return f"{error.filename}: {error.strerror}"


def _differences(directory: Path, tree: LayerTree, source: int) -> Iterator[str]:
    # One descriptor, as in extraction: a path from the root may be longer than calls take.
    here = os.open(directory, _DIRECTORY)
    inodes: dict[int, os.stat_result] = {}
    levels = [(b"", iter([(b".", tree.root)]))]
    try:
        while True:
            path, left = levels[-1]
            name, node = next(left, (b"", None))
            if node is None:
                levels.pop()
                if len(levels) < 2:
                    return
                here = _go(here, b"..")
                continue
            whole = path + name if node is not tree.root else b""
            place = b"/proc/self/fd/%d/%b" % (here, name)
            yield from _difference(node, place, show(whole) or "the root directory", source)
            status = os.lstat(place)
            first = inodes.setdefault(id(node), status)
            if _identity(first) != _identity(status) and not _is_full(here, first, status):
                yield f"{show(whole)} is not the hard link that it should be"
            if node.children is not None:
                here = _go(here, name)
                levels.append((whole + b"/" if whole else b"", iter(node.children.items())))
    finally:
        os.close(here)


def _go(here: int, name: bytes) -> int:
    """The directory `name` in the open one `here`, which is closed."""
    there = os.open(name, _DIRECTORY, dir_fd=here)
    os.close(here)
    return there


def _is_full(here: int, *files: os.stat_result) -> bool:
    """Whether one of `files` has as many names as can be, so that others had to be a copy's."""
    return max(file.st_nlink for file in files) >= os.fpathconf(here, "PC_LINK_MAX")


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _difference(node: Node, place: bytes, name: str, source: int) -> Iterator[str]:
    """What is wrong with one file, and what is in a directory that should not be."""
    try:
        found = os.lstat(place)
    except FileNotFoundError:
        yield f"it lacks {name}"
        return
    if wrong := _metadata(node, place, found) or _content(node, place, source):
        yield f"{name} has {wrong}"
    if node.children is not None:
        with os.scandir(place) as entries:
            present = {entry.name for entry in entries}
        for extra in sorted(present - set(node.children)):
            yield f"{show(extra)} in {name} is not in the tar"


def _metadata(node: Node, path: bytes, found: os.stat_result) -> str:
    entry = node.entry
    if stat.S_IFMT(found.st_mode) != _FORMS[entry.kind]:
        return "another type"
    if entry.kind in ("char", "block") and found.st_rdev != os.makedev(entry.major, entry.minor):
        return "another device number"
    if node.whiteout:
        return ""
    if (found.st_uid, found.st_gid) != (entry.uid, entry.gid):
        return "another owner"
    # Setting an access control list sets the permissions, too.
    bits = 0o7000 if _ACL in entry.xattrs else 0o7777
    if entry.kind != "symlink" and (found.st_mode ^ entry.mode) & bits:
        return "another mode"
    # Who makes a name in a directory changes its time: a layer of ours is complete before.
    if found.st_mtime_ns != entry.mtime_ns and abs(entry.mtime_ns) < _TIMES:
        return "another time"
    return _attributes(node, path)


def _attributes(node: Node, path: bytes) -> str:
    wanted = {**node.entry.xattrs, **node.marks}
    if len(wanted.get(_ACL, bytes(_LONG))) < _LONG:
        del wanted[_ACL]  # it says no more than the permissions, which is where it went
    names = os.listxattr(path, follow_symlinks=False)
    # A security module labels files by itself.
    present = {
        key: os.getxattr(path, key, follow_symlinks=False)
        for key in names
        if key in wanted or not key.startswith("security.")
    }
    return "" if present == wanted else "other attributes"


def _content(node: Node, path: bytes, source: int) -> str:
    entry = node.entry
    if entry.kind == "symlink":
        target = os.readlink(path)  # noqa: PTH115 - bytes stay bytes
        return "" if target == entry.linkname else "another target"
    if entry.kind != "file":
        return ""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size != entry.size:
            return "another size"
        return "" if _same(entry, node.offset, file.fileno(), source) else "other bytes"


def _same(entry: Entry, offset: int, file: int, source: int) -> bool:
    """Whether the stretches that the tar stores are in the file."""
    for start, length in entry.sparse if entry.sparse is not None else ((0, entry.size),):
        if not _same_range(file, start, source, offset, length):
            return False
        offset += length
    return True


def _same_range(file: int, at: int, source: int, offset: int, length: int) -> bool:
    done = 0
    while done < length:
        piece = os.pread(file, min(PIECE, length - done), at + done)
        if not piece or piece != os.pread(source, len(piece), offset + done):
            return False
        done += len(piece)
    return True
