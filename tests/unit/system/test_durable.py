from __future__ import annotations

import stat
from pathlib import Path

import pytest

from corten.system.durable import durable_file, sync_directory, write_durably


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
