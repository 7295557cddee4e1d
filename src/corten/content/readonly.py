"""Looking into a SQLite database of ours without changing it, whatever state it is in."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_BUSY_SECONDS = 30.0


@contextmanager
def reading(file: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write, within one transaction: all that is read belongs together.

    Raises: sqlite3.Error: it is not there, is no database, or is damaged.
    """
    uri = f"{file.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        connection.execute("BEGIN")
        yield connection
    finally:
        connection.close()


def damage(file: Path) -> str:
    """What SQLite's own check finds wrong with a database, in a line; empty: nothing.

    Raises: sqlite3.OperationalError: it is locked, or cannot be read.
    """
    try:
        with reading(file) as connection:
            rows = connection.execute("PRAGMA integrity_check(3)").fetchall()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        return str(error)
    found = [" ".join(str(text).split()) for (text,) in rows]
    return "" if found == ["ok"] else "; ".join(found)
