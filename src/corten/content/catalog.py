"""The catalog: names, images, facts, leases and pins of a store, in one SQLite database.

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

from corten.content.schema import migrate
from corten.errors import Corrupt, Denied, Unavailable

_BUSY_SECONDS = 30.0


class Catalog:
    """The database in the file `path`, opened when it is first used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a SELECT finds.  Raises: Unavailable, Corrupt."""
        with self._lock, _translated(self.path):
            return self._open().execute(statement, values).fetchall()

    def row(self, statement: str, *values: Any) -> tuple[Any, ...] | None:
        """The first row that a SELECT finds."""
        with self._lock, _translated(self.path):
            found: tuple[Any, ...] | None = self._open().execute(statement, values).fetchone()
            return found

    @contextmanager
    def change(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction: all of the block or nothing.

        Not `durable`: a power loss (not a crash) may undo it, which is right for
        what can be found out again.  Raises: Unavailable: the database is locked or full.
        """
        with self._lock, _translated(self.path):
            connection = self._open()
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # A full disk ends the transaction by itself; a failed COMMIT leaves it open.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the database; it is opened again when it is used again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self.path,
                timeout=_BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                migrate(connection, str(self.path))
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.OperationalError, PermissionError) as error:
        if isinstance(error, PermissionError) or not os.access(path.parent, os.W_OK | os.X_OK):
            raise Denied(
                f"this user may not use the store {path.parent}",
                hint="run corten as root, or choose another --root",
            ) from error
        raise Unavailable(f"cannot use the catalog {path}: {error}") from error
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.IntegrityError):
            raise
        raise Corrupt(f"the catalog {path} is damaged: {error}") from error
    except OSError as error:
        raise Unavailable(f"cannot use the catalog {path}: {error.strerror}") from error
