from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from corten.content.catalog import Catalog
from corten.content.schema import _MIGRATIONS
from corten.errors import Corrupt, Unavailable, Unsupported


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    made = Catalog(tmp_path / "new" / "catalog.db")
    yield made
    made.close()


def test_it_is_made_when_it_is_first_used(catalog: Catalog) -> None:
    assert not catalog.path.exists()
    assert catalog.rows("SELECT * FROM names") == []
    assert catalog.row("SELECT * FROM names") is None
    assert catalog.path.exists()
    assert catalog.row("PRAGMA journal_mode") == ("wal",)
    assert catalog.row("PRAGMA user_version") == (2,)


def test_a_failed_change_changes_nothing(catalog: Catalog) -> None:
    with pytest.raises(ZeroDivisionError), catalog.change() as change:
        change.execute("INSERT INTO facts VALUES ('k', 'd', 'v')")
        raise ZeroDivisionError
    assert catalog.rows("SELECT * FROM facts") == []
    with catalog.change(durable=False) as change:
        change.execute("INSERT INTO facts VALUES ('k', 'd', 'v')")
    assert catalog.rows("SELECT * FROM facts") == [("k", "d", "v")]


def test_a_commit_that_fails_leaves_no_transaction_open(catalog: Catalog) -> None:
    catalog.rows("PRAGMA foreign_keys = ON")
    with pytest.raises(sqlite3.IntegrityError), catalog.change() as change:
        change.execute("CREATE TABLE a (id INTEGER PRIMARY KEY)")
        change.execute("CREATE TABLE b (a REFERENCES a DEFERRABLE INITIALLY DEFERRED)")
        change.execute("INSERT INTO b VALUES (1)")
    with catalog.change() as change:
        change.execute("INSERT INTO facts VALUES ('k', 'd', 'v')")
    assert catalog.rows("SELECT * FROM facts") == [("k", "d", "v")]


def test_a_full_disk_is_said_and_later_changes_work(catalog: Catalog) -> None:
    (pages,) = catalog.row("PRAGMA page_count") or (0,)
    catalog.rows(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(Unavailable, match="full"), catalog.change() as change:
        change.execute("INSERT INTO facts VALUES ('k', 'd', ?)", ("v" * 100_000,))
    with catalog.change() as change:
        change.execute("INSERT INTO facts VALUES ('k', 'd', 'v')")
    assert catalog.rows("SELECT * FROM facts") == [("k", "d", "v")]


def test_another_connection_sees_what_was_committed(catalog: Catalog) -> None:
    other = Catalog(catalog.path)
    try:
        with catalog.change() as change:
            change.execute("INSERT INTO facts VALUES ('k', 'd', 'v')")
            assert other.rows("SELECT * FROM facts") == []
        assert other.rows("SELECT * FROM facts") == [("k", "d", "v")]
    finally:
        other.close()


def test_a_catalog_of_a_newer_corten_is_refused(catalog: Catalog) -> None:
    catalog.rows("SELECT 1")
    catalog.close()
    connection = sqlite3.connect(catalog.path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(Unsupported, match="version 99"):
        catalog.rows("SELECT 1")


def test_a_catalog_of_an_older_corten_is_brought_up_to_date(catalog: Catalog) -> None:
    catalog.path.parent.mkdir()
    with closing(sqlite3.connect(catalog.path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for statement in _MIGRATIONS[0]:
            connection.execute(statement)
        connection.execute("INSERT INTO facts VALUES ('k', 'd', 'v')")
        connection.execute("INSERT INTO pins VALUES ('container:c', 'd')")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    assert catalog.rows("SELECT * FROM facts") == [("k", "d", "v")]
    tables = {name for (name,) in catalog.rows("SELECT name FROM sqlite_master")}
    assert "names" in tables
    assert "pins" not in tables


def test_what_is_no_database_is_corrupt(catalog: Catalog) -> None:
    catalog.path.parent.mkdir()
    catalog.path.write_bytes(b"certainly not a database " * 100)
    with pytest.raises(Corrupt, match="damaged"):
        catalog.rows("SELECT 1")


def test_a_place_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable):
        Catalog(tmp_path / "file" / "catalog.db").rows("SELECT 1")


def test_it_opens_again_after_closing(catalog: Catalog) -> None:
    with catalog.change() as change:
        change.execute("INSERT INTO facts VALUES ('k', 'd', 'v')")
    catalog.close()
    catalog.close()
    assert catalog.rows("SELECT * FROM facts") == [("k", "d", "v")]
