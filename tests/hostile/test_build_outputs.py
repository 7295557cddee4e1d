"""A directory that the files of an image are written into, full of traps; and such an image."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from corten.archive.entry import Entry
from corten.builder.members import Member, Members
from corten.builder.tree import open_tree
from corten.engine.outputs.folder import folder
from corten.errors import Conflict, Invalid, Unavailable


def put(target: Path, *entries: Entry, data: bytes = b"new") -> None:
    with folder(target) as into:
        for entry in entries:
            into.put(Member(entry), data=data if entry.kind == "file" else None)


def mine(name: bytes, kind: str = "file", mode: int = 0o644, link: bytes = b"") -> Entry:
    size = 3 if kind == "file" else 0
    return Entry(name, kind, mode, os.getuid(), os.getgid(), size, 0, link)  # type: ignore[arg-type]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "file").write_text("old")
    return folder


def test_no_link_that_was_there_is_followed(tmp_path: Path, outside: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "directory").symlink_to(outside)
    (target / "file").symlink_to(outside / "file")
    os.link(outside / "file", target / "hard")
    before = outside.stat()
    put(
        target,
        mine(b"directory", "directory", 0o700),
        mine(b"directory/file"),
        mine(b"file"),
        mine(b"hard"),
    )
    assert (outside / "file").read_text() == "old"
    assert (outside.stat().st_mode, outside.stat().st_mtime) == (before.st_mode, before.st_mtime)
    assert [path.name for path in outside.iterdir()] == ["file"]
    assert not (target / "directory").is_symlink()
    assert (target / "directory/file").read_text() == "new"
    assert not (target / "file").is_symlink()


def test_no_link_that_was_written_is_followed(tmp_path: Path, outside: Path) -> None:
    target = tmp_path / "out"
    with pytest.raises(Unavailable, match="cannot write into"):
        put(target, mine(b"d", "symlink", link=os.fsencode(outside)), mine(b"d/file"))
    assert (outside / "file").read_text() == "old"


@pytest.mark.parametrize("name", [b"../file", b"a/../../file", b"..", b""])
def test_a_name_that_climbs_is_refused(tmp_path: Path, outside: Path, name: bytes) -> None:
    with pytest.raises(Invalid, match="no name for a file"):
        put(outside / "out", mine(name))
    assert (outside / "file").read_text() == "old"
    # What was not finished is not there.
    assert [path.name for path in outside.iterdir()] == ["file"]


def test_a_hard_link_cannot_lead_through_a_link(tmp_path: Path, outside: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "d").symlink_to(outside)
    with pytest.raises(Unavailable, match="cannot write into"):
        put(target, mine(b"x", "link", link=b"d/file"))
    assert (outside / "file").stat().st_nlink == 1


def test_a_directory_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    target = tmp_path / "out"
    (target / "x/full").mkdir(parents=True)
    with pytest.raises(Conflict, match="x is a directory"):
        put(target, mine(b"x"))
    assert (target / "x/full").is_dir()
    assert [path.name for path in target.iterdir()] == ["x"]  # no draft is left


def test_everything_of_a_tree_arrives(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "d/e").mkdir(parents=True)
    (source / "d/e/file").write_bytes(b"x" * 3_000_000)
    os.link(source / "d/e/file", source / "d/second")
    (source / "link").symlink_to("d/e")
    (source / "setuid").write_text("s")
    (source / "setuid").chmod(0o4755)
    os.mkfifo(source / "pipe", 0o600)
    with (source / "sparse").open("wb") as file:
        file.truncate(1 << 30)
        file.seek(1 << 29)
        file.write(b"middle")
    (source / "d").chmod(0o500)
    os.utime(source / "d", (1000, 1000))
    with open_tree(source) as tree, folder(tmp_path / "out") as target:
        for member in Members(tree).below():
            target.put(member)
    out = tmp_path / "out"
    assert (out / "d/second").stat().st_ino == (out / "d/e/file").stat().st_ino
    assert (out / "d/e/file").read_bytes() == b"x" * 3_000_000
    assert (out / "link").readlink() == Path("d/e")
    assert stat.S_IMODE((out / "setuid").stat().st_mode) == 0o4755
    assert stat.S_ISFIFO((out / "pipe").stat().st_mode)
    assert (stat.S_IMODE((out / "d").stat().st_mode), (out / "d").stat().st_mtime) == (0o500, 1000)
    sparse = (out / "sparse").stat()
    assert sparse.st_size == 1 << 30
    assert sparse.st_blocks * 512 < 1 << 20
    (source / "d").chmod(0o700)
    (out / "d").chmod(0o700)
