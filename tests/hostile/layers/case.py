"""What a hostile layer is here: a name, the way its bytes are made, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from corten.errors import CortenError, Invalid

AIM = b"<aim>"


class Rejected(NamedTuple):
    """Refused with an error of `family` whose message matches `says`: it names the entry."""

    says: str
    family: type[CortenError] = Invalid


class Contained(NamedTuple):
    """Taken, and all that comes of it lies inside the layer's root.

    ``paths`` is what the mounted layer shows, without the parents, which are there,
    too; `AIM` stands for the canary's path.  None: too much to list.  ``holds`` looks
    at the mounted tree and asserts what else must be.
    """

    paths: tuple[bytes, ...] | None = None
    holds: Callable[[Path], None] | None = None

    def listing(self, aim: bytes) -> set[bytes] | None:
        """All that the layer shows, where the canary lies at the absolute path `aim`."""
        if self.paths is None:
            return None
        shown = set()
        for path in self.paths:
            parts = path.replace(AIM, aim[1:]).split(b"/")
            shown |= {b"/".join(parts[:end]) for end in range(1, len(parts) + 1)}
        return shown


class Copied(NamedTuple):
    """For ADD only: no archive, so the file is copied as it is."""


Verdict = Rejected | Contained
Make = Callable[[bytes], bytes]
"""Makes a layer's bytes; the argument is the absolute path of the canary that it may aim at."""


class Case(NamedTuple):
    """A hostile layer.

    ``make`` gives the bytes as they travel, perhaps compressed.  ``verdict`` is for
    the drivers, pull and load; ``overlay`` is the overlay driver's where a file system
    under it cannot keep what an index can; ``added`` is that of ADD of the same
    bytes as an archive (None: as ``verdict``).
    """

    name: str
    make: Make
    verdict: Verdict
    overlay: Verdict | None = None
    added: Verdict | Copied | None = None

    def by(self, driver: str) -> Verdict:
        """The verdict under a storage driver."""
        return self.overlay if driver == "overlay" and self.overlay is not None else self.verdict


def has(*paths: bytes, holds: Callable[[Path], None] | None = None) -> Contained:
    """Contained, showing exactly `paths` and their parents."""
    return Contained(paths, holds)


def always(data: bytes) -> Make:
    """Bytes that do not depend on where the canary lies."""
    return lambda aim: data
