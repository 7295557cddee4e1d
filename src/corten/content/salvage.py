"""A new catalog out of what can still be read of a damaged one."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from corten.content.database import writing
from corten.content.readonly import reading
from corten.content.schema import migrate
from corten.content.summary import RootRows
from corten.errors import Invalid
from corten.oci.digest import Digest
from corten.system.durable import sync_directory

Rows = Mapping[str, Sequence[tuple[Any, ...]]]
"""Rows by table, with the columns in the schema's order."""

# Table: its primary key, the place of a digest among its columns, and their types.
_TABLES: Mapping[str, tuple[str, int, tuple[type, ...]]] = {
    "names": ("name", 2, (str, str, str, str, int, float)),
    "images": ("digest", 0, (str, str, int, str, str, int, float)),
    "repo_digests": ("repository, digest", 1, (str, str, str)),
    "facts": ("kind, digest", 1, (str, str, str)),
}


def readable_rows(file: Path) -> Rows:
    """All rows of the catalog in `file` that can be read and look as they should.

    Leases are left out: their owners are not waited for.
    """
    return {table: list(dict.fromkeys(_rows(file, table))) for table in _TABLES}


def _rows(file: Path, table: str) -> Iterator[tuple[Any, ...]]:
    key, at, types = _TABLES[table]
    # From both ends: a damaged page hides what lies behind it.
    for order in ("ASC", "DESC"):
        columns = ", ".join(f"{name} {order}" for name in key.split(", "))
        with suppress(sqlite3.DatabaseError), reading(file) as connection:
            connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
            for row in connection.execute(f"SELECT * FROM {table} ORDER BY {columns}"):  # noqa: S608
                if _sound(row, at, types):
                    yield row


def _sound(row: tuple[Any, ...], at: int, types: tuple[type, ...]) -> bool:
    if len(row) != len(types) or not all(
        isinstance(value, kind) for value, kind in zip(row, types, strict=True)
    ):
        return False
    try:
        Digest(row[at])
    except Invalid:
        return False
    return True


def replace_catalog(file: Path, aside: Path, roots: Sequence[RootRows] = ()) -> None:
    """Put a new catalog in the place of `file`, which is kept in the directory `aside`.

    It has what is readable of the old one, and those of `roots` whose names (empty: whose
    images) are not.  All of it appears at once: what an empty catalog does not name would be
    collected.  Other writers wait, and find the new one.  Raises: OSError.
    """
    with writing(file):
        rows: Rows = readable_rows(file) if file.exists() else dict.fromkeys(_TABLES, ())
        known = {name for name, *_ in rows["names"]}
        lost = [root for root in roots if root.name[0] not in known]
        more: Rows = {
            "names": [root.name for root in lost if root.name[0]],
            "images": [root.image for root in lost],
        }
        fresh = _write(file, {table: [*rows[table], *more.get(table, ())] for table in rows})
        _swap(file, fresh, aside)


def _write(file: Path, rows: Rows) -> Path:
    """A new catalog beside `file`, flushed to disk."""
    fresh = file.with_name(f".{file.name}.new")
    fresh.unlink(missing_ok=True)
    with closing(sqlite3.connect(fresh, isolation_level=None)) as connection:
        migrate(connection, str(file))
        connection.execute("BEGIN")
        for table, (_, _, types) in _TABLES.items():
            places = ", ".join("?" * len(types))
            connection.executemany(
                f"INSERT OR IGNORE INTO {table} VALUES ({places})",  # noqa: S608
                rows.get(table, ()),
            )
        connection.execute("COMMIT")
    fd = os.open(fresh, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    return fresh


def _swap(file: Path, fresh: Path, aside: Path) -> None:
    aside.mkdir(mode=0o700, parents=True, exist_ok=True)
    parts = [file.with_name(f"{file.name}{suffix}") for suffix in ("", "-wal", "-shm")]
    for old in parts:
        with suppress(FileNotFoundError):
            (aside / old.name).hardlink_to(old)
    # The old log must not be taken for the new one's; without a catalog all would be collected.
    for old in parts[1:]:
        old.unlink(missing_ok=True)
    fresh.replace(file)
    sync_directory(file.parent)
