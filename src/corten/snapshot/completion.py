"""What depends on the layers below, for layers that are directories.

An extracted layer lacks the names it gives to files of the layers below, and
directories that it only implies (:mod:`corten.snapshot.implied`) have not the metadata
that those layers say: both depend on the stack.  The *completion* is a directory to put
right above the layer: it holds those names, as hard links to the very files, in
directories that look like the layer's, and the implied directories as they are below.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from corten.archive.entry import show
from corten.content.ingest import storage_error
from corten.errors import Invalid, Unsupported
from corten.snapshot.expansion import copy_range
from corten.snapshot.holdings import LayerRecord
from corten.snapshot.implied import Implied, covering
from corten.snapshot.links import Steps, find_below
from corten.system.xattr import read_xattrs, write_xattrs

_OPAQUE = "trusted.overlay.opaque"
_MARKS = (_OPAQUE, "trusted.overlay.origin")


def complete(layer: Path, below: Sequence[str], record: LayerRecord, target: Path) -> None:
    """Make what the extracted `layer` lacks in `target`, an empty directory on its file system.

    `below` are the directories that lie under the layer, topmost first, with their own
    completions.  Where a file has as many links as its file system allows, a copy of it has the
    next ones.  Raises: Invalid: a link names what is not below; Unsupported: the file
    system cannot keep so long a path; Unavailable: the disk is full.
    """
    place = os.fsencode(target)
    made: set[bytes] = set()
    copies: dict[bytes, bytes] = {}
    steps = Steps()
    looks = dict(covered(below, record.implied))
    for directory in looks:
        _make(place, directory, made)
    for link in record.links:
        with _failing("look at", link.target):
            source = find(below, link.target, steps)
        if source is None:
            raise Invalid(
                f"{show(link.name)} is a hard link to {show(link.target)}, "
                "which is in no layer below",
                hint="the image was made for other layers than it has",
            )
        _make(place, link.name.rpartition(b"/")[0], made)
        with _failing("link", link.name):
            _link(source, place + b"/" + link.name, copies)
    for directory in (*sorted(made, reverse=True), b""):  # what is in one before itself
        look = looks.get(directory, os.fsencode(layer) + b"/" + directory)
        with _failing("complete", directory):
            _copy_metadata(look, place + b"/" + directory)


def covered(below: Sequence[str], implied: Sequence[Implied]) -> Iterator[tuple[bytes, bytes]]:
    """Those of `implied` over a directory that looks otherwise: the path, the directory below.

    `below` are directories, topmost first.  Raises: Unsupported: a path is too long.
    """

    def enter(place: _Place, name: bytes) -> _Place | None:
        path = place.path + b"/" + name if place.path else name
        with _failing("look at", path):
            found = _below(place.directories, name)
            is_directory = found and stat.S_ISDIR(os.lstat(found[0]).st_mode)
        return _Place(path, found) if is_directory else None

    root = _Place(b"", [os.fsencode(layer) for layer in below])
    for _, (path, directories) in covering(implied, root, enter):
        if not _is_plain(directories[0]):
            yield path, directories[0]


def _link(source: bytes, target: bytes, copies: dict[bytes, bytes]) -> None:
    """Make `target` a name of the file `source`, or of the last of its `copies`."""
    try:
        os.link(copies.get(source, source), target, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.EMLINK:
            raise
        _copy(source, target)
        copies[source] = target


def _copy(source: bytes, target: bytes) -> None:
    status = os.lstat(source)
    if stat.S_ISREG(status.st_mode):
        with open(source, "rb") as file, open(target, "xb") as made:
            copy_range(file.fileno(), 0, made.fileno(), 0, status.st_size)
            # Links are in the journal before the record that vouches for them; these bytes are not.
            os.fsync(made.fileno())
    elif stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(source), target)  # noqa: PTH115, PTH211
    else:
        os.mknod(target, stat.S_IFMT(status.st_mode), status.st_rdev)
    _copy_metadata(source, target)


class _Place(NamedTuple):
    """A path in a stack, and the directories that are merged there, topmost first."""

    path: bytes
    directories: list[bytes]


@contextmanager
def _failing(what: str, path: bytes) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.EOPNOTSUPP):
            raise Unsupported(
                f"cannot {what} {show(path)}: {error.strerror}",
                hint="the file system under the root directory cannot keep it",
            ) from error
        raise storage_error(error, f"{what} {show(path)}") from error


def _make(place: bytes, directory: bytes, made: set[bytes]) -> None:
    """Make a directory in `place` and what it lies in, unless that was `made`."""
    missing = []
    while directory and directory not in made:
        missing.append(directory)
        directory = directory.rpartition(b"/")[0]
    for each in reversed(missing):
        with _failing("complete", each):
            os.mkdir(place + b"/" + each)  # noqa: PTH102
        made.add(each)


def _is_plain(directory: bytes) -> bool:
    """Whether a directory looks as one does that a layer only implies."""
    status = os.lstat(directory)
    look = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, status.st_mtime_ns)
    return look == (0o755, 0, 0, 0) and not _attributes(directory)


def _attributes(directory: bytes) -> dict[str, bytes]:
    attributes = read_xattrs(directory)
    for mark in _MARKS:  # what the layer itself has is below this
        attributes.pop(mark, None)
    return attributes


def find(layers: Sequence[str], path: bytes, steps: Steps) -> bytes | None:
    """Where the file lies that `path` names in a stack of directories, topmost first.

    Symlinks on the way are followed inside the stack, the last part is not.  None
    if there is nothing, or a directory.  Raises: Unsupported: that takes more than `steps`.
    """
    top = [os.fsencode(layer) for layer in layers]
    return find_below(path, top, _enter, _target, steps)


def _enter(directories: list[bytes], name: bytes) -> tuple[list[bytes], bytes | None]:
    found = _below(directories, name)
    if found and not stat.S_ISDIR(os.lstat(found[0]).st_mode):
        return [], found[0]
    return found, None


def _target(file: bytes) -> bytes | None:
    """What a symlink says; None: it is none."""
    is_link = stat.S_ISLNK(os.lstat(file).st_mode)
    return os.readlink(file) if is_link else None  # noqa: PTH115


def _below(directories: list[bytes], name: bytes) -> list[bytes]:
    """What `name` is in directories that are merged: one file, or the directories it merges."""
    found: list[bytes] = []
    for directory in directories:
        place = directory + b"/" + name
        try:
            status = os.lstat(place)
        except FileNotFoundError:
            continue
        if not stat.S_ISDIR(status.st_mode):
            whiteout = stat.S_ISCHR(status.st_mode) and status.st_rdev == 0
            return found if found or whiteout else [place]
        found.append(place)
        if _OPAQUE in os.listxattr(place, follow_symlinks=False):
            break
    return found


def _copy_metadata(source: bytes, target: bytes) -> None:
    status = os.lstat(source)
    os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(target, stat.S_IMODE(status.st_mode))  # noqa: PTH101
    write_xattrs(target, _attributes(source))
    os.utime(target, ns=(status.st_mtime_ns, status.st_mtime_ns), follow_symlinks=False)
