from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from corten.content.tar_files import TarFiles
from corten.errors import Invalid, NotFound
from support.archives import link, write_tar

Index = Callable[..., TarFiles]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with ExitStack() as stack:

        def make(*members: tuple[str, bytes | tarfile.TarInfo]) -> TarFiles:
            file = write_tar(tmp_path / "a.tar", *members)
            return TarFiles(stack.enter_context(file.open("rb")).fileno(), "a.tar")

        yield make


def test_names_have_one_form(index: Index) -> None:
    files = index(("./a//b", b"content"), ("c/../d", b"other"))
    assert files.read("a/b", 100) == b"content"
    assert files.read("./a/./b", 100) == b"content"
    assert files.read("d", 100) == b"other"
    assert "a/b" in files
    assert "a" not in files


def test_reading_begins_at_an_offset_and_ends_with_the_member(index: Index) -> None:
    files = index(("a", b"0123456789"), ("b", b"other"))
    place = files.place("a")
    with files.open(place, 4) as reader:
        assert reader.read(3) == b"456"
        assert reader.read() == b"789"
        assert reader.read(5) == b""
    with files.open(place, 10) as reader:
        assert reader.read(1) == b""
    with pytest.raises(Invalid):
        files.open(place, 11)


def test_a_limit_is_checked_before_reading(index: Index) -> None:
    files = index(("a", b"0123456789"))
    with pytest.raises(Invalid, match="10 bytes"):
        files.read("a", 9)


def test_links_are_followed_within_the_archive(index: Index) -> None:
    files = index(
        ("dir/soft", link("../real")),
        ("dir/softer", link("soft")),
        ("hard", link("dir/softer", tarfile.LNKTYPE)),
        ("real", b"content"),
    )
    for name in ("dir/soft", "dir/softer", "hard", "real"):
        assert files.read(name, 100) == b"content"


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../x", "up", "absolute", "me"])
def test_nothing_outside_can_be_named(index: Index, name: str) -> None:
    files = index(
        ("up", link("../../../etc/passwd")),
        ("absolute", link("/etc/passwd")),
        ("me", link("me")),
        ("../outside", b"ignored"),
    )
    with pytest.raises(Invalid):
        files.place(name)
    assert name not in files


def test_a_dangling_link_is_not_found(index: Index) -> None:
    with pytest.raises(NotFound):
        index(("a", link("gone"))).place("a")


def test_two_members_of_one_name_are_refused(index: Index) -> None:
    with pytest.raises(Invalid, match="two members"):
        index(("a", b"1"), ("./a", b"2"))
    with pytest.raises(Invalid, match="two members"):
        index(("a", b"1"), ("a", link("b")))


def test_directories_may_be_there_twice(index: Index) -> None:
    directory = link("", tarfile.DIRTYPE)
    files = index(("d", directory), ("d/a", b"1"), ("d/", link("", tarfile.DIRTYPE)))
    assert files.read("d/a", 10) == b"1"
