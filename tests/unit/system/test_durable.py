from __future__ import annotations

import stat
from pathlib import Path

import pytest

from corten.system.durable import durable_file, sweep_drafts, sync_directory, write_durably


def test_a_file_appears_with_its_content_and_mode(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_durably(target, b"content", 0o640)
    assert target.read_bytes() == b"content"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [target]


def test_an_existing_file_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"a longer old content")
    write_durably(target, b"new")
    assert target.read_bytes() == b"new"


def test_nothing_is_visible_before_the_end(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with durable_file(target) as file:
        file.write(b"new " * 100_000)
        file.flush()
        assert target.read_bytes() == b"old"
    assert target.stat().st_size == 400_000


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), durable_file(target) as file:
        file.write(b"half of the new")
        raise ZeroDivisionError
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_missing_directory_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_durably(tmp_path / "nowhere" / "file", b"")


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"untouched")
    link = tmp_path / "link"
    link.symlink_to(outside)
    write_durably(link, b"new")
    assert outside.read_bytes() == b"untouched"
    assert not link.is_symlink()


def test_a_directory_is_synced(tmp_path: Path) -> None:
    sync_directory(tmp_path)
    with pytest.raises(NotADirectoryError):
        write_durably(tmp_path / "file", b"")
        sync_directory(tmp_path / "file")


def test_a_sweep_takes_what_a_dead_writer_left_and_spares_a_living_one(tmp_path: Path) -> None:
    target = tmp_path / "file.tar"
    dead = tmp_path / ".file.tar.0123456789ab.tmp"
    others = [tmp_path / name for name in (".file.tar", ".file.1.tmp", "file.tar.1.tmp")]
    for path in (dead, *others):
        path.write_bytes(b"half")
    with durable_file(target) as file:
        file.write(b"whole")
        sweep_drafts(target)
        assert not dead.exists()
    assert target.read_bytes() == b"whole"
    assert all(path.exists() for path in others)


def test_a_sweep_where_there_is_no_directory_does_nothing(tmp_path: Path) -> None:
    sweep_drafts(tmp_path / "nowhere" / "file")
