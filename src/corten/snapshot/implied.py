"""Directories that a layer only implies: no member names them, but something lies in them.

Extracted over the layers below, such a directory leaves the one that is there as it is:
its metadata are those of the stack below.  Only where that has no such directory is it
one of mode 0755, owned by root.  So whoever stacks the layer has to look what lies
beneath; most layers name all their directories and cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import msgspec

MAX_IMPLIED = 65536
"""The most implied directories that a layer may have."""
MAX_IMPLIED_SIZE = 16 * 1024 * 1024
"""The most bytes that their paths may have together."""

Place = TypeVar("Place")


class Implied(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An implied directory, in a list in which those that it lies in come first.

    ``path`` is cleaned, and relative to the implied directory with the number
    ``within``; -1 is the layer's root.  So the list of a deep tree is not much longer
    than its names.
    """

    within: int
    path: bytes


def covering(
    implied: Sequence[Implied],
    root: Place,
    enter: Callable[[Place, bytes], Place | None],
) -> Iterator[tuple[int, Place]]:
    """Those of `implied` that lie over a directory: their numbers, and what they lie over.

    `root` is the root below the layer, `enter` gives the directory of a name in another,
    None where there is none.
    """
    places: list[Place | None] = []
    for number, directory in enumerate(implied):
        place = root if directory.within < 0 else places[directory.within]
        for part in directory.path.split(b"/"):
            if place is None:
                break
            place = enter(place, part)
        places.append(place)
        if place is not None:
            yield number, place
