"""The catalog: names, images, facts and leases of a store, in one SQLite database.

Times are seconds since 1970.  Thread-safe; several processes may use one
database at once.  Names of things, never bytes of blobs.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from corten.content.database import connect, transaction, translated
from corten.content.schema import VERSION, migrate
from corten.errors import Unavailable

_CALLED = "catalog"


class Catalog:
    """The database in the file `path`, opened when it is first used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None

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
                if self._is_replaced():  # while we waited
                    raise Unavailable(
                        f"the catalog {self.path} was replaced just now",
                        hint="run the command again",
                    )
                yield connection

    def close(self) -> None:
        """Close the database; it is opened again when it is used again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._is_replaced():
            self.close()
        if self._connection is None:
            self._connection = connect(
                self.path, VERSION, lambda connection: migrate(connection, str(self.path))
            )
            self._opened = self._identity()
        return self._connection

    def _is_replaced(self) -> bool:
        """Whether a repair put another file in the place of the one that is open."""
        there = self._identity() if self._connection is not None else None
        return there is not None and there != self._opened

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self.path)  # noqa: PTH116 - a tenth of what pathlib takes
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino
