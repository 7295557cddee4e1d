"""The digest of what a copy takes: fields, in the order in which they are read."""

from __future__ import annotations

import hashlib

from corten.builder.tree import encoded


class Notes:
    """Hashes fields.  Their lengths keep neighbours apart, whatever bytes a name has.

    Those in ``held`` are hashed together by :meth:`settle`: there are several for each file.
    """

    def __init__(self) -> None:
        self._hasher = hashlib.sha256(usedforsecurity=False)
        self.held: list[bytes] = []
        self.put = self.held.append
        """Takes what :func:`field` made, or several of these one behind the other."""

    def add(self, *fields: str | bytes | int) -> None:
        """The next fields: text as a file name's bytes, a number as its decimal digits."""
        for each in fields:
            self.put(field(each))

    def settle(self) -> None:
        """Hash what is held."""
        self._hasher.update(b"".join(self.held))
        self.held.clear()

    def hexdigest(self) -> str:
        """The SHA-256 of everything so far."""
        self.settle()
        return self._hasher.hexdigest()


def field(value: str | bytes | int) -> bytes:
    """A field as it is hashed."""
    if isinstance(value, str):
        raw = encoded(value)
    else:
        raw = value if isinstance(value, bytes) else b"%d" % value
    return b"%d:%b" % (len(raw), raw)
