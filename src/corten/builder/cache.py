"""What builds remember: results by key, and digests of context files by what stat(2) says.

One SQLite database under ``ROOT/cache``.  It is a cache: one that cannot be
read is thrown away and begun again.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from corten.builder.hashes import Learnt, Stamp
from corten.content.database import connect, transaction, translated, version_of, writing
from corten.oci.digest import Digest

_SCHEMA = """
CREATE TABLE IF NOT EXISTS results (
    key TEXT PRIMARY KEY, family TEXT NOT NULL, layer TEXT NOT NULL, created INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS results_family ON results (family);
CREATE TABLE IF NOT EXISTS files (
    context TEXT NOT NULL, path BLOB NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL,
    ctime INTEGER NOT NULL, inode INTEGER NOT NULL, digest BLOB NOT NULL,
    PRIMARY KEY (context, path)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS downloads (
    url TEXT PRIMARY KEY, etag TEXT NOT NULL, modified TEXT NOT NULL, digest TEXT NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = 1;
"""
_VERSION = 1
_CALLED = "build cache"


class Saved(NamedTuple):
    """What a step added: its layer (None: nothing changed), and when (Unix seconds)."""

    layer: Digest | None
    created: int


class Download(NamedTuple):
    """What a server said of a URL's content, to ask whether it is still the same."""

    etag: str
    modified: str
    digest: str


class BuildCache:
    """The database in `folder`.  May be used from several threads and processes.

    A context manager: leaving closes it.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "build.db"
        self._lock = threading.Lock()
        with translated(self._path, _CALLED):
            self._db = _open(self._path)

    def load(self, key: str) -> Saved | None:
        """What was saved under `key`."""
        query = "SELECT layer, created FROM results WHERE key = ?"
        with self._reading() as db:
            row = db.execute(query, (key,)).fetchone()
        if row is None:
            return None
        return Saved(Digest(row[0]) if row[0] else None, row[1])

    def known(self, family: str) -> bool:
        """Whether a result of this family was ever saved: whether content is worth looking at."""
        query = "SELECT 1 FROM results WHERE family = ? LIMIT 1"
        with self._reading() as db:
            return db.execute(query, (family,)).fetchone() is not None

    def save(self, keys: Iterable[str], family: str, saved: Saved) -> None:
        """Remember `saved` under each of `keys`."""
        rows = [(key, family, saved.layer or "", saved.created) for key in keys]
        if rows:
            with self._changing() as db:
                db.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?)", rows)

    def layers(self) -> frozenset[Digest]:
        """Every layer that a saved result names: what a collection may spare."""
        query = "SELECT DISTINCT layer FROM results WHERE layer != ''"
        with self._reading() as db:
            return frozenset(Digest(layer) for (layer,) in db.execute(query))

    def forget(self) -> int:
        """Remove all results; returns how many there were."""
        with self._changing() as db:
            return db.execute("DELETE FROM results").rowcount

    def stamps(self, context: str) -> dict[bytes, tuple[Stamp, bytes]]:
        """What is known of a context's files: path to stamp and SHA-256."""
        query = "SELECT path, size, mtime, ctime, inode, digest FROM files WHERE context = ?"
        with self._reading() as db:
            rows: Iterator[tuple[bytes, int, int, int, int, bytes]] = db.execute(query, (context,))
            return {row[0]: (Stamp(*row[1:5]), row[5]) for row in rows}

    def stamp(self, context: str, rows: Sequence[Learnt]) -> None:
        """Remember digests of a context's files."""
        values = ((context, path, *stamp, digest) for path, stamp, digest in rows)
        with self._changing() as db:
            db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def download(self, url: str) -> Download | None:
        """What is known of a URL."""
        query = "SELECT etag, modified, digest FROM downloads WHERE url = ?"
        with self._reading() as db:
            row = db.execute(query, (url,)).fetchone()
        return Download(*row) if row else None

    def downloaded(self, url: str, known: Download) -> None:
        """Remember what a URL gave."""
        with self._changing() as db:
            db.execute("INSERT OR REPLACE INTO downloads VALUES (?, ?, ?, ?)", (url, *known))

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, translated(self._path, _CALLED), transaction(self._path, self._db):
            yield self._db

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, translated(self._path, _CALLED):
            yield self._db

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _open(path: Path) -> sqlite3.Connection:
    try:
        db = connect(path, _VERSION, _prepare)
    except sqlite3.OperationalError:
        raise  # it cannot be used now: another time it can
    except sqlite3.DatabaseError:
        with writing(path):
            if not _readable(path):  # nobody else was faster
                for suffix in ("", "-wal", "-shm"):
                    path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)
        db = connect(path, _VERSION, _prepare)
    # Losing the last entries in a power cut costs a rebuild, not an image.
    db.execute("PRAGMA synchronous = NORMAL")
    # Pages: a large copy's digests are written while it runs, and who waits for the disk then
    # keeps the copy waiting.  Closing does it for all of them.
    db.execute("PRAGMA wal_autocheckpoint = 10000")
    return db


def _readable(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as db:
        try:
            return version_of(db) == _VERSION
        except sqlite3.DatabaseError:
            return False


def _prepare(db: sqlite3.Connection) -> None:
    version = version_of(db)
    if version not in (0, _VERSION):
        raise sqlite3.DatabaseError(f"a cache of version {version}")
    db.executescript(_SCHEMA)
