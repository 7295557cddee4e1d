"""``corten images``: rows of the catalog as Docker's table.

Both ways into the command end here, so this imports neither click nor msgspec nor
dataclasses: see :mod:`corten.cli.entry`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import NamedTuple

from corten.cli.quantities import ago, epoch, size
from corten.cli.tables import table
from corten.content.listing import ImageRow, image_rows

_NONE = "<none>"
_TITLES = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "ID": "IMAGE ID",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
}


class Wanted(NamedTuple):
    """What to list and how.  ``repository`` is ``NAME[:TAG]`` with ``*`` and ``?``, or empty."""

    repository: str = ""
    quiet: bool = False
    everything: bool = False
    no_trunc: bool = False
    digests: bool = False
    form: str = ""


def listing(root: str | os.PathLike[str], wanted: Wanted) -> str:
    """The text of ``corten images``.  Raises: Usage: ``form`` is wrong."""
    rows = [row for row in image_rows(root) if _matches(row, wanted.repository)]
    now = time.time()
    if wanted.form and not wanted.quiet:
        from corten.cli.templates import render_rows

        return render_rows(wanted.form, [_fields(row, wanted, now) for row in rows], _TITLES)
    if wanted.quiet:
        return "".join(f"{_line(row, wanted, now)[3]}\n" for row in rows)
    lines = [_line(row, wanted, now) for row in rows]
    if wanted.digests:
        return table(("REPOSITORY", "TAG", "DIGEST", "IMAGE ID", "CREATED", "SIZE"), lines)
    header = ("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE")
    return table(header, [(*line[:2], *line[3:]) for line in lines])


def known_names(root: str | os.PathLike[str]) -> Iterator[str]:
    """Familiar names of all images, for completion."""
    for row in image_rows(root):
        if row.name:
            yield f"{row.repository}:{row.tag}"


def familiar(name: str) -> str:
    """A name as typed without what it may leave out: Docker's registry and its library."""
    return name.removeprefix("docker.io/").removeprefix("library/")


def _line(row: ImageRow, wanted: Wanted, now: float) -> tuple[str, str, str, str, str, str]:
    """Repository, tag, digest, ID, age and size, ready to be shown."""
    made = epoch(row.created)
    since = "N/A" if made is None else ago(max(now - made, 0))
    identity = row.image_id if wanted.no_trunc else row.image_id.partition(":")[2][:12]
    digest = row.repo_digest or _NONE
    return row.repository, row.tag, digest, identity, since, size(row.size)


def _fields(row: ImageRow, wanted: Wanted, now: float) -> dict[str, str]:
    repository, tag, digest, identity, since, amount = _line(row, wanted, now)
    return {
        "Repository": repository,
        "Tag": tag,
        "Digest": digest,
        "ID": identity,
        "CreatedSince": since,
        "CreatedAt": row.created or "N/A",
        "Size": amount,
    }


def _matches(row: ImageRow, pattern: str) -> bool:
    """Whether the image has the name that `pattern` means, written short or in full."""
    if not pattern:
        return True
    if not row.name:
        return False
    from fnmatch import fnmatchcase

    head, slash, last = familiar(pattern).rpartition("/")
    name, colon, tag = last.partition(":")
    return fnmatchcase(row.repository, f"{head}{slash}{name}") and (
        not colon or fnmatchcase(row.tag, tag)
    )
