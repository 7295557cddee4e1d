"""Hard links of a layer to files of the layers below it, as they are kept."""

from __future__ import annotations

import msgspec

MAX_LINKS = 65536
"""The most foreign links that a layer may have."""
MAX_LINKS_SIZE = 16 * 1024 * 1024
"""The most bytes that their targets may have together: all are kept in the layer's record."""


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
