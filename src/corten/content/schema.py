"""The catalog's tables, and how older databases become current ones."""

from __future__ import annotations

import sqlite3

from corten.content.database import version_of
from corten.errors import Unsupported

_MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # What each name stands for.
        """CREATE TABLE names (
            name TEXT PRIMARY KEY,
            repository TEXT NOT NULL,
            digest TEXT NOT NULL,
            media_type TEXT NOT NULL,
            size INTEGER NOT NULL,
            changed REAL NOT NULL
        ) WITHOUT ROWID""",
        "CREATE INDEX names_by_digest ON names (digest)",
        # Roots (manifests, indexes) that are kept, named or not.  image_id is the digest of the
        # configuration for this host; layers_size the bytes of its layers' tars.
        """CREATE TABLE images (
            digest TEXT PRIMARY KEY,
            media_type TEXT NOT NULL,
            size INTEGER NOT NULL,
            image_id TEXT NOT NULL,
            created TEXT NOT NULL,
            layers_size INTEGER NOT NULL,
            added REAL NOT NULL
        ) WITHOUT ROWID""",
        "CREATE INDEX images_by_id ON images (image_id)",
        # Under which digest an image is known in a repository.
        """CREATE TABLE repo_digests (
            repository TEXT NOT NULL,
            digest TEXT NOT NULL,
            image_id TEXT NOT NULL,
            PRIMARY KEY (repository, digest)
        ) WITHOUT ROWID""",
        "CREATE INDEX repo_digests_by_id ON repo_digests (image_id)",
        """CREATE TABLE facts (
            kind TEXT NOT NULL,
            digest TEXT NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (kind, digest)
        ) WITHOUT ROWID""",
        """CREATE TABLE leases (
            id TEXT PRIMARY KEY,
            created REAL NOT NULL,
            expires REAL NOT NULL
        ) WITHOUT ROWID""",
        """CREATE TABLE pins (
            owner TEXT NOT NULL,
            digest TEXT NOT NULL,
            PRIMARY KEY (owner, digest)
        ) WITHOUT ROWID""",
    ),
    # Nothing was ever pinned: containers hold their images by their records.
    ("DROP TABLE pins",),
)
"""Each entry makes the schema of one version out of that of the version before."""

VERSION = len(_MIGRATIONS)
"""The version of the schema that this corten knows."""


def migrate(connection: sqlite3.Connection, name: str) -> None:
    """Bring the database to the current version.

    Raises: Unsupported: a newer corten made it.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = version_of(connection)  # another process may have been faster
        if version > VERSION:
            raise Unsupported(
                f"the catalog {name} has schema version {version}, this corten knows {VERSION}",
                hint="use the newer corten that made it",
            )
        for statements in _MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
