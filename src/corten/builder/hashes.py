"""Digests of context files, remembered by what stat(2) says of them.

A rebuild in which nothing changed looks at files' states and does not read them.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from corten.builder.tree import encoded

if TYPE_CHECKING:
    from corten.builder.cache import BuildCache

_PIECE = 1024 * 1024
# A file changed twice within one tick of the clock keeps its times: such a young one is not trusted.
_RACY = 50_000_000
_MANY = 8192


class Stamp(NamedTuple):
    """What stat(2) says of a file; while it is the same, so is the content."""

    size: int
    mtime: int
    ctime: int
    inode: int


Learnt = tuple[bytes, Stamp, bytes]
"""A file's path, what it was like when it was read, and its SHA-256."""


class Hashes(Protocol):
    """Where digests of files come from and go to."""

    def find(self, path: str, state: os.stat_result) -> bytes | None:
        """The SHA-256 of a file that is as it was when it was read last."""

    def keep(self, learnt: Iterable[Learnt], began: int) -> None:
        """Remember digests of files that were read after `began` (nanoseconds since 1970)."""


class FileHashes:
    """What is known of one context's files.  May be used from several threads."""

    def __init__(self, cache: BuildCache, context: str) -> None:
        self._cache = cache
        self._context = context
        self._lock = threading.Lock()
        self._known: dict[bytes, tuple[Stamp, bytes]] | None = None
        self._new: dict[bytes, tuple[Stamp, bytes]] = {}

    def find(self, path: str, state: os.stat_result) -> bytes | None:
        """The SHA-256 of a file that is as it was when it was read last."""
        key = encoded(path)
        with self._lock:
            if self._known is None:
                self._known = self._cache.stamps(self._context)
            found = self._new.get(key) or self._known.get(key)
        return found[1] if found is not None and found[0] == stamp(state) else None

    def keep(self, learnt: Iterable[Learnt], began: int) -> None:
        """Remember digests of files that were read after `began`; many are saved at once."""
        trusted = began - _RACY
        with self._lock:
            for path, state, digest in learnt:
                if state.ctime <= trusted and state.mtime <= trusted:
                    self._new[path] = (state, digest)
            many = len(self._new) >= _MANY
        if many:
            self._write()

    def save(self) -> None:
        """Write what is new to the cache."""
        self._write()
        with self._lock:
            self._known = None

    def _write(self) -> None:
        with self._lock:
            rows = [(path, state, digest) for path, (state, digest) in self._new.items()]
            if self._known is not None:
                self._known.update(self._new)
            self._new.clear()
        if rows:
            self._cache.stamp(self._context, rows)


def stamp(state: os.stat_result) -> Stamp:
    """What is kept of a file's state."""
    return Stamp(state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)


def hash_file(fd: int) -> bytes:
    """The SHA-256 of a whole file; its position is not changed."""
    hasher = hashlib.sha256(usedforsecurity=False)
    offset = 0
    while piece := os.pread(fd, _PIECE, offset):
        hasher.update(piece)
        offset += len(piece)
    return hasher.digest()
