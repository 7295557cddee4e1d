"""``RUN --mount``: its options as written, before variables are expanded.

Spec: Dockerfile reference, "RUN --mount".
"""

from __future__ import annotations

import csv

import msgspec

from corten.errors import Invalid


class MountFlag(msgspec.Struct, frozen=True):
    """One ``--mount``: names and values in order; an option without ``=`` has the value ``true``."""

    options: tuple[tuple[str, str], ...]

    @property
    def origin(self) -> str:
        """What ``from`` names, else empty."""
        return dict(self.options).get("from", "")


def parse_mount(text: str) -> MountFlag:
    """The options of ``type=T,name=value,…``; a value with a comma is quoted as in CSV.

    Raises: Invalid: no options.
    """
    rows = list(csv.reader([text])) if text else []
    if not rows:
        raise Invalid("--mount needs options", hint="--mount=type=bind,target=/PATH")
    options = []
    for part in rows[0]:
        name, equals, value = part.partition("=")
        options.append((name.strip().lower(), value if equals else "true"))
    return MountFlag(tuple(options))
