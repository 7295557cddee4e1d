"""The catalog: names, images, facts and leases of a store, in one SQLite database.

Times are seconds since 1970.  Thread-safe; several processes may use one
database at once.  Names of things, never bytes of blobs.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from corten.content.database import connect, transaction, translated
from corten.content.schema import VERSION, migrate

_CALLED = "catalog"


class Catalog:
    """The database in the file `path`, opened when it is first used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a SELECT finds.  Raises: Unavailable, Corrupt."""
        with self._lock, translated(self.path, _CALLED):
            return self._open().execute(statement, values).fetchall()

    def row(self, statement: str, *values: Any) -> tuple[Any, ...] | None:
        """The first row that a SELECT finds."""
        with self._lock, translated(self.path, _CALLED):
            found: tuple[Any, ...] | None = self._open().execute(statement, values).fetchone()
            return found

    @contextmanager
    def change(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction: all of the block or nothing.  Other writers wait for its end.

        Not `durable`: a power loss (not a crash) may undo it, which is right for
        what can be found out again.  Raises: Unavailable: the disk is full.
        """
        with self._lock, translated(self.path, _CALLED):
            connection = self._open()
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            with transaction(self.path, connection):
                yield connection

    def close(self) -> None:
        """Close the database; it is opened again when it is used again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connect(
                self.path, VERSION, lambda connection: migrate(connection, str(self.path))
            )
        return self._connection
