"""How far bytes may expand while they are unpacked: an end to what is small only on the wire.

A limit is a number of bytes that anything may become, however few they came as.
Beyond it, `RATIO` times as many as came are allowed: large layers of real data
pass, zeros by the terabyte do not.  See docs/adr/0010.
"""

from __future__ import annotations

from corten.errors import Unsupported

RATIO = 100
"""How many bytes may come of one, beyond the limit.  Programs and data stay below 20."""


class TooLarge(Unsupported):
    """What came expands without measure."""


class Expansion:
    """Counts what comes in and what comes of it.  `limit` in bytes; None: there is none."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self.taken = 0
        self.given = 0

    def take(self, count: int) -> None:
        """`count` bytes came."""
        self.taken += count

    def give(self, count: int) -> None:
        """`count` bytes come of them.  Raises: TooLarge."""
        self.given += count
        limit = self._limit
        if limit is not None and self.given > limit and self.given > RATIO * self.taken:
            raise TooLarge(
                f"{self.taken} bytes expand to more than {max(limit, RATIO * self.taken)}",
                hint="if they are trusted, set CORTEN_LAYER_LIMIT to more (64G, for example)",
            )
