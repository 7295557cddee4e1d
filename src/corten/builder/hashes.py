"""Digests of context files, remembered by what stat(2) says of them.

A rebuild in which nothing changed looks at files' states and does not read them.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time

from corten.builder.cache import BuildCache, Stamp
from corten.builder.tree import encoded

_PIECE = 1024 * 1024
# A file changed twice within one tick of the clock keeps its times: such a young one is not trusted.
_RACY = 50_000_000


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
        return found[1] if found is not None and found[0] == _stamp(state) else None

    def keep(self, path: str, state: os.stat_result, digest: bytes) -> None:
        """Remember the digest of a file that was read while it was in `state`."""
        if time.time_ns() - max(state.st_ctime_ns, state.st_mtime_ns) < _RACY:
            return
        with self._lock:
            self._new[encoded(path)] = (_stamp(state), digest)

    def save(self) -> None:
        """Write what is new to the cache."""
        with self._lock:
            rows = [(path, stamp, digest) for path, (stamp, digest) in self._new.items()]
            self._new.clear()
            self._known = None
        if rows:
            self._cache.stamp(self._context, rows)


def _stamp(state: os.stat_result) -> Stamp:
    return Stamp(state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)


def hash_file(fd: int) -> bytes:
    """The SHA-256 of a whole file; its position is not changed."""
    hasher = hashlib.sha256(usedforsecurity=False)
    offset = 0
    while piece := os.pread(fd, _PIECE, offset):
        hasher.update(piece)
        offset += len(piece)
    return hasher.digest()
