"""Looking into databases without changing them, and a new catalog out of a damaged one."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from corten.content.catalog import Catalog
from corten.content.readonly import damage, reading
from corten.content.salvage import readable_rows, replace_catalog
from corten.content.summary import RootRows
from corten.errors import Unavailable
from corten.oci.digest import Digest

DIGEST = str(Digest.of(b"x"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A catalog with two hundred facts and a name, all in one file."""
    catalog = Catalog(tmp_path / "catalog.db")
    with catalog.change() as change:
        facts = [(f"kind{number:03}", DIGEST, "v" * 200) for number in range(200)]
        change.executemany("INSERT INTO facts VALUES (?, ?, ?)", facts)
        change.execute("INSERT INTO names VALUES ('n:1', 'n', ?, 'type', 5, 1.0)", (DIGEST,))
    catalog.close()
    with closing(sqlite3.connect(catalog.path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return catalog.path


def test_a_reading_connection_cannot_write(file: Path) -> None:
    with reading(file) as db, pytest.raises(sqlite3.OperationalError, match="readonly"):
        db.execute("DELETE FROM names")


def test_reading_makes_no_database(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError), reading(tmp_path / "none.db"):
        pass
    assert not (tmp_path / "none.db").exists()


def test_a_path_with_special_characters_is_read(file: Path, tmp_path: Path) -> None:
    odd = tmp_path / "a?b#c%20 d"
    file.rename(odd)
    assert damage(odd) == ""


def test_a_whole_database_has_no_damage_and_a_cut_one_has(file: Path) -> None:
    assert damage(file) == ""
    os.truncate(file, file.stat().st_size // 2)
    assert damage(file)
    file.write_bytes(b"no database at all" * 100)
    assert damage(file) == "file is not a database"


def test_all_rows_of_a_whole_catalog_are_readable(file: Path) -> None:
    rows = readable_rows(file)
    assert len(rows["facts"]) == 200
    assert rows["names"] == [("n:1", "n", DIGEST, "type", 5, 1.0)]


def test_rows_on_both_sides_of_a_damaged_page_are_kept(file: Path) -> None:
    raw = bytearray(file.read_bytes())
    at = raw.find(b"kind100") // 4096 * 4096
    raw[at : at + 4096] = b"\xff" * 4096
    file.write_bytes(raw)
    kinds = {row[0] for row in readable_rows(file)["facts"]}
    assert {"kind000", "kind199"} <= kinds
    assert "kind100" not in kinds


def test_rows_that_make_no_sense_are_left_out(file: Path) -> None:
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("INSERT INTO facts VALUES ('kind', 'no digest', 'v')")
        db.execute("INSERT INTO facts VALUES ('blob', ?, x'00ff')", (DIGEST,))
    assert len(readable_rows(file)["facts"]) == 200


def test_nothing_is_readable_of_what_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    path.write_bytes(os.urandom(10000))
    assert not any(readable_rows(path).values())


def test_a_new_catalog_has_the_rows_and_the_old_one_is_kept(file: Path, tmp_path: Path) -> None:
    old = file.read_bytes()
    replace_catalog(file, tmp_path / "aside")
    assert (tmp_path / "aside" / "catalog.db").read_bytes() == old
    catalog = Catalog(file)
    assert catalog.row("SELECT name FROM names") == ("n:1",)
    assert catalog.row("SELECT count(*) FROM facts") == (200,)
    catalog.close()
    assert damage(file) == ""


def test_roots_are_in_the_new_catalog_when_it_appears_unless_the_old_one_named_them(
    file: Path, tmp_path: Path
) -> None:
    """Named one after the other, a kill between them would leave the others to gc."""
    other = str(Digest.of(b"y"))

    def root(name: str, digest: str) -> RootRows:
        return RootRows(
            (digest, "type", 5, digest, "", 5, 2.0), (name, "n", digest, "type", 5, 2.0)
        )

    roots = [root("n:1", other), root("lost:1", other), root("", DIGEST)]
    replace_catalog(file, tmp_path / "aside", roots)
    with closing(Catalog(file)) as catalog:
        assert catalog.rows("SELECT name, digest FROM names ORDER BY name") == [
            ("lost:1", other),
            ("n:1", DIGEST),
        ]
        assert {digest for (digest,) in catalog.rows("SELECT digest FROM images")} == {
            DIGEST,
            other,
        }


def test_who_has_a_catalog_open_goes_on_in_the_new_one(file: Path, tmp_path: Path) -> None:
    """Written into the old file it would be lost; so would what the new one's log holds."""
    with closing(Catalog(file)) as old:
        assert old.rows("SELECT name FROM names") == [("n:1",)]
        replace_catalog(file, tmp_path / "aside")
        with closing(Catalog(file)) as other, other.change() as change:
            change.execute("INSERT INTO facts VALUES ('of', ?, 'another')", (DIGEST,))
        with old.change() as change:
            change.execute("INSERT INTO facts VALUES ('of', 'the', 'first')")
        assert old.row("SELECT count(*) FROM facts") == (202,)
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("SELECT count(*) FROM facts").fetchone() == (202,)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_what_is_written_while_a_catalog_is_replaced_is_in_the_last_one(
    file: Path, tmp_path: Path
) -> None:
    over = threading.Event()
    written: list[str] = []

    def write(me: int) -> None:
        with closing(Catalog(file)) as catalog:
            number = 0
            while not over.is_set():
                key = f"{me} {number}"
                with suppress(Unavailable), catalog.change(durable=False) as change:
                    change.execute("INSERT INTO facts VALUES (?, ?, 'v')", (key, DIGEST))
                    number += 1
                if f"{me} {number - 1}" == key:
                    written.append(key)

    writers = [threading.Thread(target=write, args=(me,)) for me in range(3)]
    for writer in writers:
        writer.start()
    deadline = time.monotonic() + 60
    try:
        while not written and time.monotonic() < deadline:
            time.sleep(0.01)
        for number in range(8):
            replace_catalog(file, tmp_path / f"aside-{number}")
    finally:
        over.set()
        for writer in writers:
            writer.join(60)
    with closing(Catalog(file)) as catalog:
        kinds = {kind for (kind,) in catalog.rows("SELECT kind FROM facts")}
    assert written
    assert set(written) <= kinds
    assert damage(file) == ""
