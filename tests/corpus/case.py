"""What a case of the corpus is: a Dockerfile, what it is built with, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Wrong(msgspec.Struct, frozen=True):
    """An error: its family of corten.errors, a part of its message, its line (0: no line)."""

    family: str
    part: str
    line: int = 0


class Case(msgspec.Struct, frozen=True):
    """One build and what it must give; what is None is not looked at.

    ``context``, ``beside`` and ``tree`` are listings (corpus.listing): the context's
    files, those beside the Dockerfile (which stands outside the context), and what the
    image has beside the image ``base``, or all of it where that is no parent.
    ``blobs`` are more files of the context.  ``bases`` are images that are built
    before, by name, from the same context.  ``args`` are build arguments, ``options``
    further fields of BuildOptions, ``steps`` of StepOptions.  ``env`` is the environment without the usual PATH;
    ``config`` fields of the image's configuration (None: it must not be there);
    ``history`` parts of its last lines; ``warns`` a part of a warning.

    In Dockerfiles and options ``SERVER`` is the loopback server's address, ``COMMIT`` the
    last commit of its repository ``repo.git``, ``CONTEXT`` the context's path.
    """

    name: str
    dockerfile: str
    context: str = ""
    blobs: Mapping[str, bytes] = {}
    beside: str = ""
    bases: Mapping[str, str] = {}
    args: Mapping[str, str] = {}
    options: Mapping[str, Any] = {}
    steps: Mapping[str, Any] = {}
    tree: str | None = None
    env: Mapping[str, str] | None = None
    config: Mapping[str, Any] | None = None
    author: str | None = None
    history: tuple[str, ...] = ()
    warns: str = ""
    error: Wrong | None = None
