"""Connections to the metadata: readers side by side, writers one after the other.

SQLite in WAL mode, each commit on disk before it is acknowledged.  Any other
URL that SQLAlchemy knows (PostgreSQL) gets the same statements.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corten.errors import Unavailable, Unsupported
from corten.registry import schema

if TYPE_CHECKING:
    from sqlalchemy import Connection

_BUSY_MS = 30_000


class Database:
    """Where metadata is kept.  Thread-safe."""

    def __init__(self, url: str) -> None:
        """Raises: Unsupported: a newer corten has written it; Unavailable: it cannot be opened."""
        from sqlalchemy import create_engine, event
        from sqlalchemy.exc import DBAPIError

        self.local = url.startswith("sqlite:")
        self._writing = threading.Lock()
        # Readers see each statement's own snapshot and never hold a transaction open.
        self._readers = create_engine(url, isolation_level="AUTOCOMMIT", pool_size=16)
        self._writer = create_engine(url, pool_size=1, max_overflow=0)
        if self.local:
            for engine in (self._readers, self._writer):
                event.listen(engine, "connect", _prepare_sqlite)
            event.listen(self._writer, "begin", _begin_sqlite)
        try:
            self._prepare()
        except DBAPIError as error:
            self.close()
            raise Unavailable(f"the registry's metadata cannot be opened: {error.orig}") from error
        except BaseException:
            self.close()
            raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading; every statement sees what is committed."""
        with self._readers.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """The one write transaction: committed at the end of the block, or undone."""
        with self._writing, self._writer.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self._readers.dispose()
        self._writer.dispose()

    def _prepare(self) -> None:
        from sqlalchemy import insert, inspect, select

        with self.write() as connection:
            version = None
            if inspect(connection).has_table("facts"):
                query = select(schema.facts.c.value).where(schema.facts.c.name == "version")
                version = connection.execute(query).scalar_one_or_none()
            if version is None:
                schema.metadata.create_all(connection)
                row = {"name": "version", "value": str(schema.VERSION)}
                connection.execute(insert(schema.facts).values(row))
            elif int(version) > schema.VERSION:
                raise Unsupported(
                    f"the registry's metadata has version {version},"
                    f" this corten knows {schema.VERSION}",
                    hint="use the corten that wrote it, or a later one",
                )


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file."""
    from sqlalchemy import URL

    return URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)


def _prepare_sqlite(connection: Any, record: Any) -> None:
    # Transactions are begun below, explicitly: the driver's own begin too late to be exclusive.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
