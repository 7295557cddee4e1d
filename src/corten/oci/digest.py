"""Digests: content identifiers.  Spec: OCI image, descriptor.md, "Digests"."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from corten.errors import Invalid

if TYPE_CHECKING:
    from io import BufferedReader

_GRAMMAR = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+", re.ASCII)
# Registered algorithms that corten can compute, with the length of their hex form.
_REGISTERED = {"sha256": 64, "sha384": 96, "sha512": 128}
_HEX = re.compile(r"[a-f0-9]+", re.ASCII)


class Hasher(Protocol):
    """The part of a `hashlib` object that corten uses."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...


class Digest(str):
    """``algorithm:encoded``, valid by construction.

    Raises: Invalid: the text breaks the grammar, or a registered algorithm has
    an encoded part of the wrong length or alphabet.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Digest:
        if isinstance(text, Digest):
            return text
        if len(text) > 512 or not _GRAMMAR.fullmatch(text):
            raise Invalid(f"invalid digest {text[:100]!r}: not ALGORITHM:ENCODED")
        algorithm, _, encoded = text.partition(":")
        length = _REGISTERED.get(algorithm)
        if length is not None and (len(encoded) != length or not _HEX.fullmatch(encoded)):
            raise Invalid(
                f"invalid digest {text[:100]!r}: {algorithm} takes {length} lower-case hex digits"
            )
        return super().__new__(cls, text)

    @classmethod
    def of(cls, data: bytes | bytearray | memoryview, algorithm: str = "sha256") -> Digest:
        """The digest of `data`."""
        hasher = new_hasher(algorithm)
        hasher.update(data)
        return cls.from_hasher(hasher, algorithm)

    @classmethod
    def from_hasher(cls, hasher: Hasher, algorithm: str = "sha256") -> Digest:
        """The digest of all that `hasher` was given."""
        return str.__new__(cls, f"{algorithm}:{hasher.hexdigest()}")

    @property
    def algorithm(self) -> str:
        """The part before the colon."""
        return self.partition(":")[0]

    @property
    def encoded(self) -> str:
        """The part after the colon."""
        return self.partition(":")[2]

    @property
    def short(self) -> str:
        """Twelve hex digits, as listings show it."""
        return self.encoded[:12]

    @property
    def computable(self) -> bool:
        """Whether corten can compute, and so verify, this algorithm."""
        return self.algorithm in _REGISTERED


def new_hasher(algorithm: str = "sha256") -> Hasher:
    """A hasher for a registered algorithm.

    Raises: Invalid: corten cannot compute `algorithm`.
    """
    if algorithm not in _REGISTERED:
        raise Invalid(
            f"cannot compute digests of algorithm {algorithm[:40]!r}",
            hint="use one of " + ", ".join(_REGISTERED),
        )
    import hashlib  # OpenSSL is loaded with it: many commands hash nothing

    return hashlib.new(algorithm, usedforsecurity=False)


def file_hex(file: BufferedReader, algorithm: str = "sha256") -> str:
    """The digest of what is left to read of `file`, as hex digits, in bounded memory."""
    import hashlib

    return hashlib.file_digest(file, algorithm).hexdigest()
