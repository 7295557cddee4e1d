"""Hard links of a layer to files of the layers below it, as they are kept."""

from __future__ import annotations

from collections.abc import Callable, Sized
from typing import TypeVar

import msgspec

from corten.errors import Unsupported

MAX_LINKS = 65536
"""The most foreign links that a layer may have."""
MAX_LINKS_SIZE = 16 * 1024 * 1024
"""The most bytes that their targets may have together: all are kept in the layer's record."""
MAX_STEPS = 16_000_000
"""How many directories may be looked into to follow symlinks and links: some 10 s of work."""

_HOPS = 40

Place = TypeVar("Place", bound=Sized)
"""A path in a stack: the directories that are there, of one layer or several; empty: none."""
File = TypeVar("File")


class ForeignLink(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """A name of this layer for a file that only a lower layer has.

    Both are paths from the layer's root, cleaned (no ``.``, ``..``, ``//``, no slash
    around).  ``target`` is looked up in the stack of the layers below, without this
    one; symlinks of this layer were followed, those of lower layers still may be in it.
    """

    name: bytes
    target: bytes


def confined(parts: list[bytes]) -> list[bytes]:
    """`parts` without ``.`` and ``..``; above the root is the root."""
    kept: list[bytes] = []
    for part in parts:
        if part == b"..":
            del kept[-1:]
        elif part not in (b"", b"."):
            kept.append(part)
    return kept


class Steps:
    """How many directories may still be looked into.

    Symlinks to long paths, one through the other, make 100,000 steps of a name of 80 bytes.
    """

    def __init__(self, limit: int = MAX_STEPS) -> None:
        self._left = limit

    def take(self, count: int) -> None:
        """Take the next ones.  Raises: Unsupported: that is too many."""
        self._left -= count
        if self._left < 0:
            raise Unsupported(
                "names in a layer lead through too many directories by way of symlinks",
                hint="the layer seems to be made for that, to keep whoever uses it busy",
            )


def find_below(
    path: bytes,
    root: Place,
    enter: Callable[[Place, bytes], tuple[Place, File | None]],
    target: Callable[[File], bytes | None],
    steps: Steps,
) -> File | None:
    """The file that `path` names in a stack of layers; None if there is nothing, or a directory.

    `enter` says what a name is in a directory: a directory, or a file; `target` what a
    symlink says, None for other files.  Symlinks on the way are followed inside the
    stack, the last part is not.  Raises: Unsupported: that takes more than `steps`.
    """
    stack = [root]
    todo = path.split(b"/")[::-1]
    hops = 0
    while todo:
        part = todo.pop()
        steps.take(len(stack[-1]))
        if part in (b"", b"."):
            continue
        if part == b"..":
            if len(stack) > 1:
                stack.pop()
            continue
        place, file = enter(stack[-1], part)
        if file is None:
            if not place:
                return None
            stack.append(place)
            continue
        if not todo:
            return file
        text = target(file)
        if text is None or hops == _HOPS:
            return None
        hops += 1
        if text.startswith(b"/"):
            del stack[1:]
        todo.extend(reversed(text.split(b"/")))
    return None
