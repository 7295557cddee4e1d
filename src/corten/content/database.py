"""SQLite files that many processes write at once, without anybody's patience ending.

SQLite lets a writer wait by asking again and again, for a fixed time at most, and whoever asks
at the right moment goes first.  Here writers queue for a lock of the kernel's, which has no
time limit and dies with its holder; so SQLite itself never finds another writer.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from corten.errors import Corrupt, Denied, Unavailable
from corten.system.locks import locked

PATIENCE = 600.0
"""Seconds for what is never long: another process opens the file after a crash, or is the last to
close it."""

_LOCK = ".lock"


def connect(
    path: Path, version: int, prepare: Callable[[sqlite3.Connection], None]
) -> sqlite3.Connection:
    """The database in the file `path`, made if it is not there; any thread may use it.

    Where its ``user_version`` is not `version`, `prepare` brings it there, in one process at a
    time.  Transactions begin and end as they are told to.  Raises: sqlite3.Error; OSError; what
    `prepare` raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(
        path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
    )
    try:
        if version_of(connection) != version:
            with writing(path):
                # A mode of the file, not of the connection.
                connection.execute("PRAGMA journal_mode = WAL")
                prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def version_of(connection: sqlite3.Connection) -> int:
    """The database's ``user_version``, 0 for a new one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def writing(path: Path) -> AbstractContextManager[int]:
    """The one writer of the database in the file `path`, for the block.  Raises: OSError."""
    return locked(path.with_name(path.name + _LOCK))


@contextmanager
def transaction(path: Path, connection: sqlite3.Connection) -> Iterator[None]:
    """All of the block's changes or none of them.  Raises: sqlite3.Error; OSError."""
    with writing(path):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            # A full disk ends the transaction by itself; a failed COMMIT leaves it open.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


@contextmanager
def translated(path: Path, what: str) -> Iterator[None]:
    """Errors of SQLite and of the disk as ours; `what` the database in the file `path` is called.

    Raises: Denied: it is another user's; Unavailable: it cannot be used now; Corrupt.
    """
    try:
        yield
    except (sqlite3.OperationalError, PermissionError) as error:
        if isinstance(error, PermissionError) or not os.access(path.parent, os.W_OK | os.X_OK):
            raise Denied(
                f"this user may not use the store {path.parent}",
                hint="run corten as root, or choose another --root",
            ) from error
        raise Unavailable(f"cannot use the {what} {path}: {error}") from error
    except sqlite3.IntegrityError:
        raise
    except sqlite3.DatabaseError as error:
        raise Corrupt(
            f"the {what} {path} is damaged: {error}",
            hint="corten system check --repair makes a new one",
        ) from error
    except OSError as error:
        raise Unavailable(f"cannot use the {what} {path}: {error.strerror}") from error
