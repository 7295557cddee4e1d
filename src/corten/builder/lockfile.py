"""The lock file: which image each name of a Dockerfile meant when it was written.

``Dockerfile.lock`` lies beside its Dockerfile and belongs into version control.  It is
JSON with sorted keys, so that a change is seen line by line.  An image's digest is what
its registry has under the name, an index where there are several platforms.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from corten.builder.context import read_small
from corten.errors import Invalid, NotFound
from corten.oci.codec import convert, decode_object, to_plain
from corten.oci.digest import Digest
from corten.oci.reference import Reference

_LIMIT = 1024 * 1024
_VERSION = 1


class Lock(msgspec.Struct, frozen=True):
    """What was pinned.

    ``images`` has the digest for each full name with its tag, ``remotes`` what ADD may say as
    ``--checksum`` of each URL (``sha256:…``) and Git repository (a commit), as written there
    but for passwords.
    """

    version: int = _VERSION
    images: Mapping[str, Digest] = {}
    remotes: Mapping[str, str] = {}

    def pin(self, name: str) -> str:
        """The image that `name` means, as ``NAME@DIGEST``; a name with a digest means itself.

        Raises: NotFound: the file has no such name.
        """
        reference = Reference.parse(name)
        if reference.digest is not None:
            return name
        digest = self.images.get(str(reference))
        if digest is None:
            raise NotFound(
                f"the lock file has no image {reference.familiar()}",
                hint="write it anew: corten lock",
            )
        return f"{reference.name}@{digest}"


def lock_path(dockerfile: Path) -> Path:
    """Where the lock file of a Dockerfile lies."""
    return dockerfile.with_name(f"{dockerfile.name}.lock")


def read_lock(path: Path) -> Lock:
    """The lock file at `path`.  Raises: NotFound; Invalid: malformed, or of another version."""
    try:
        text = read_small(path, "lock file")
    except NotFound:
        raise NotFound(f"there is no lock file {path}", hint="corten lock writes it") from None
    try:
        lock = convert(decode_object(text.encode(), "lock file", _LIMIT), Lock, "lock file")
        for name in lock.images:
            Reference.parse(name)
    except Invalid as error:
        raise Invalid(f"{path}: {error.message}", hint="corten lock writes it anew") from None
    if lock.version != _VERSION:
        raise Invalid(f"{path} has version {lock.version}, this corten knows {_VERSION}")
    return lock


def lock_text(lock: Lock) -> str:
    """The file's text.  The same lock gives the same text."""
    plain = {
        "version": lock.version,
        "images": dict(sorted(to_plain(lock.images).items())),
        "remotes": dict(sorted(to_plain(lock.remotes).items())),
    }
    return msgspec.json.format(msgspec.json.encode(plain), indent=2).decode() + "\n"
