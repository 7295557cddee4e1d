"""Hard links from one layer into another, for layers that are directories.

An extracted layer lacks the names it gives to files of the layers below: which
files these are depends on the stack.  The *completion* is a directory to put right
above the layer: it holds those names, as hard links to the very files, in
directories that look like the layer's.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from corten.archive.entry import show
from corten.errors import Invalid, Unavailable
from corten.snapshot.links import ForeignLink
from corten.system.xattr import read_xattrs, write_xattrs

_HOPS = 40
_OPAQUE = "trusted.overlay.opaque"


def complete(layer: Path, below: Sequence[str], links: Iterable[ForeignLink], target: Path) -> None:
    """Make `links` of the extracted `layer` in `target`, an empty directory on its file system.

    `below` are the directories that lie under the layer, topmost first.  Raises:
    Invalid: there is no such file below; Unavailable: the disk is full.
    """
    made: dict[bytes, None] = {}
    place = os.fsencode(target)
    for link in links:
        source = find(below, link.target)
        if source is None:
            raise Invalid(
                f"{show(link.name)} is a hard link to {show(link.target)}, "
                "which is in no layer below",
                hint="the image was made for other layers than it has",
            )
        try:
            parents = link.name.split(b"/")[:-1]
            for depth in range(1, len(parents) + 1):
                parent = b"/".join(parents[:depth])
                if parent not in made:
                    os.mkdir(place + b"/" + parent)  # noqa: PTH102
                    made[parent] = None
            os.link(source, place + b"/" + link.name, follow_symlinks=False)
        except OSError as error:
            raise Unavailable(f"cannot link {show(link.name)}: {error.strerror}") from error
    for parent in (*reversed(made), b""):
        _copy_metadata(os.fsencode(layer) + b"/" + parent, place + b"/" + parent)


def find(layers: Sequence[str], path: bytes) -> bytes | None:
    """Where the file lies that `path` names in a stack of directories, topmost first.

    Symlinks on the way are followed inside the stack, the last part is not.  None
    if there is nothing, or a directory.
    """
    top = [os.fsencode(layer) for layer in layers]
    stack = [top]
    todo = path.split(b"/")[::-1]
    hops = 0
    while todo:
        part = todo.pop()
        if part in (b"", b"."):
            continue
        if part == b"..":
            if len(stack) > 1:
                stack.pop()
            continue
        found = _below(stack[-1], part)
        if not found:
            return None
        mode = os.lstat(found[0]).st_mode
        if stat.S_ISDIR(mode):
            stack.append(found)
        elif not todo:
            return found[0]
        elif stat.S_ISLNK(mode) and hops < _HOPS:
            hops += 1
            text = os.readlink(found[0])  # noqa: PTH115
            if text.startswith(b"/"):
                stack = [top]
            todo.extend(reversed(text.split(b"/")))
        else:
            return None
    return None


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
    os.chown(target, status.st_uid, status.st_gid)
    os.chmod(target, stat.S_IMODE(status.st_mode))  # noqa: PTH101
    attributes = read_xattrs(source)
    attributes.pop(_OPAQUE, None)  # what the layer itself has is below this
    write_xattrs(target, attributes)
    os.utime(target, ns=(status.st_mtime_ns, status.st_mtime_ns))
