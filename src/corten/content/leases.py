"""Leases: what is used while one is held is not collected.

A lease is a row in the catalog and a locked file.  The kernel drops the lock
when the process dies, so a killed pull protects nothing any more; the expiry is
for file systems that do not know locks.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from corten.content.catalog import Catalog
from corten.system.locks import is_still, try_lock, try_own

_LIFETIME = 7 * 24 * 3600.0
_SUFFIX = ".lease"


class Leases:
    """The leases of a store; lock files lie in `directory`."""

    def __init__(self, directory: Path, catalog: Catalog) -> None:
        self.held = 0
        """How many leases are held through this object."""
        self._directory = directory
        self._catalog = catalog
        self._lock = threading.Lock()

    @contextmanager
    def hold(self) -> Iterator[str]:
        """A new lease for the block; yields its id."""
        lease = os.urandom(12).hex()
        now = time.time()
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._owned(lease):
            try:
                with self._catalog.change(durable=False) as change:
                    change.execute(
                        "INSERT INTO leases VALUES (?, ?, ?)", (lease, now, now + _LIFETIME)
                    )
                with self._lock:
                    self.held += 1
                try:
                    yield lease
                finally:
                    with self._lock:
                        self.held -= 1
                    with self._catalog.change(durable=False) as change:
                        change.execute("DELETE FROM leases WHERE id = ?", (lease,))
            finally:
                self._file(lease).unlink(missing_ok=True)

    def oldest(self) -> float | None:
        """When the oldest living lease began (seconds since 1970); removes dead ones."""
        alive: list[float] = []
        for lease, created, expires in self._catalog.rows("SELECT * FROM leases"):
            if expires > time.time() and not self._is_free(lease):
                alive.append(created)
                continue
            with self._catalog.change(durable=False) as change:
                change.execute("DELETE FROM leases WHERE id = ?", (lease,))
            self._file(lease).unlink(missing_ok=True)
        self._sweep()
        return min(alive, default=None)

    def _sweep(self) -> None:
        """Remove files of owners that were killed before they had a row, or after."""
        for file in self._directory.glob(f"*{_SUFFIX}"):
            with suppress(FileNotFoundError):
                self._is_free(file.name.removesuffix(_SUFFIX), remove=True)

    @contextmanager
    def _owned(self, lease: str) -> Iterator[None]:
        while (fd := try_own(self._file(lease))) is None:
            pass  # a sweep has it for a moment
        try:
            yield
        finally:
            os.close(fd)

    def _is_free(self, lease: str, *, remove: bool = False) -> bool:
        """Whether the lease has no living owner; then `remove` takes its file away."""
        file = self._file(lease)
        try:
            fd = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        try:
            free = try_lock(fd)
            if free and remove and is_still(file, fd):
                file.unlink()
            return free
        finally:
            os.close(fd)

    def _file(self, lease: str) -> Path:
        return self._directory / f"{lease}{_SUFFIX}"
