from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from corten.content.database import connect, transaction, translated, version_of, writing
from corten.errors import Corrupt, Denied, Unavailable
from corten.system.locks import try_lock

PROCESSES, ROUNDS = 12, 15

# Opens the catalog (new at first), writes and closes it, as short commands do.
_WRITERS = """
import pathlib, sys
from corten.builder.cache import BuildCache, Saved
from corten.content.catalog import Catalog
from corten.content.listing import image_rows
root, me, rounds = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.read()
for number in range(rounds):
    catalog = Catalog(root / "catalog.db")
    with catalog.change(durable=number % 5 == 0) as change:
        (count,) = change.execute("SELECT count(*) FROM facts").fetchone()
        change.execute("INSERT INTO facts VALUES (?, ?, ?)", (me, str(number), str(count)))
    catalog.rows("SELECT * FROM facts")
    catalog.close()
    image_rows(root)
    with BuildCache(root / "cache") as cache:
        cache.save([f"{me} {number}"], "", Saved(None, number))
"""


def prepare(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS things (name TEXT)")
    connection.execute("PRAGMA user_version = 7")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "new" / "some.db"


@pytest.fixture
def db(file: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(file, 7, prepare)) as connection:
        yield connection


def names(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM things")]


def is_free(file: Path) -> bool:
    """Whether nobody writes the database now."""
    with file.with_name("some.db.lock").open("r+b") as lock:
        return try_lock(lock.fileno())


def test_a_new_file_is_prepared_once(file: Path, db: sqlite3.Connection) -> None:
    assert version_of(db) == 7
    with closing(connect(file, 7, lambda _: pytest.fail("it was prepared again"))) as other:
        assert names(other) == []


def test_what_is_not_prepared_stays_closed(file: Path) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        raise sqlite3.DatabaseError("of another kind")

    with pytest.raises(sqlite3.DatabaseError, match="another kind"):
        connect(file, 7, fail)
    assert is_free(file)


def test_a_transaction_is_all_or_nothing(file: Path, db: sqlite3.Connection) -> None:
    with pytest.raises(KeyError), transaction(file, db):
        db.execute("INSERT INTO things VALUES ('lost')")
        raise KeyError
    with transaction(file, db):
        db.execute("INSERT INTO things VALUES ('kept')")
    assert names(db) == ["kept"]


def test_a_writer_waits_for_the_one_before_it_and_sees_what_it_wrote(
    file: Path, db: sqlite3.Connection
) -> None:
    asked = threading.Event()
    seen: list[str] = []

    def second() -> None:
        with closing(connect(file, 7, prepare)) as other:
            asked.set()
            with transaction(file, other):
                seen.extend(names(other))

    thread = threading.Thread(target=second)
    with transaction(file, db):
        thread.start()
        assert asked.wait(20)
        db.execute("INSERT INTO things VALUES ('first')")
    thread.join(20)
    assert seen == ["first"]


def test_readers_do_not_wait_for_a_writer(file: Path, db: sqlite3.Connection) -> None:
    with closing(connect(file, 7, prepare)) as other, transaction(file, db):
        db.execute("INSERT INTO things VALUES ('new')")
        assert names(other) == []


def test_the_lock_dies_with_its_holder(file: Path, db: sqlite3.Connection) -> None:
    program = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "import pathlib, sqlite3\n"
        "from corten.content.database import connect, transaction\n"
        "file = pathlib.Path(sys.argv[1])\n"
        "db = connect(file, 7, None)\n"
        "with transaction(file, db):\n"
        "    db.execute(\"INSERT INTO things VALUES ('half')\")\n"
        "    print('there', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, file],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "there\n"
            assert not is_free(file)
        finally:
            other.kill()
    with transaction(file, db):
        db.execute("INSERT INTO things VALUES ('whole')")
    assert names(db) == ["whole"]


def test_many_processes_make_open_write_and_close_at_once(tmp_path: Path) -> None:
    program = f"import sys; sys.path[:0] = {sys.path!r}\n{_WRITERS}"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", program, tmp_path, str(number), str(ROUNDS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    try:
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:  # all at once
            assert writer.stdin is not None
            writer.stdin.close()
            writer.stdin = None
        said = [writer.communicate(timeout=120)[1] for writer in writers]
        assert [(w.returncode, text) for w, text in zip(writers, said, strict=True)] == [
            (0, "")
        ] * PROCESSES
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    with closing(sqlite3.connect(tmp_path / "catalog.db")) as catalog:
        counts = [int(value) for (value,) in catalog.execute("SELECT value FROM facts")]
        # Each saw all that came before it: nobody wrote beside another.
        assert sorted(counts) == list(range(PROCESSES * ROUNDS))
        assert catalog.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with closing(sqlite3.connect(tmp_path / "cache" / "build.db")) as cache:
        (found,) = cache.execute("SELECT count(*) FROM results").fetchone()
        assert found == PROCESSES * ROUNDS


def test_errors_say_what_and_where(tmp_path: Path) -> None:
    file = tmp_path / "some.db"
    unusable = f"cannot use the shelf {file}: disk I/O error"
    with pytest.raises(Unavailable, match=unusable), translated(file, "shelf"):
        raise sqlite3.OperationalError("disk I/O error")
    damaged = f"the shelf {file} is damaged: malformed"
    with pytest.raises(Corrupt, match=damaged) as caught, translated(file, "shelf"):
        raise sqlite3.DatabaseError("malformed")
    assert "corten system check --repair" in caught.value.hint
    with pytest.raises(Denied, match="may not use the store"), translated(file, "shelf"):
        raise PermissionError
    (tmp_path / "file").touch()
    with (
        pytest.raises(Unavailable, match="Not a directory"),
        translated(file, "shelf"),
        writing(tmp_path / "file" / "x"),
    ):
        pass
    with pytest.raises(sqlite3.IntegrityError), translated(file, "shelf"):
        raise sqlite3.IntegrityError
