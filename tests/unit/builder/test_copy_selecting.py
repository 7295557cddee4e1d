"""--parents and --exclude: what is copied, what is noted, and what is not even looked at."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.builder.graph import Copy
from corten.dockerfile.ignore import parse_ignore
from corten.errors import CortenError, Invalid, NotFound
from support.copies import Grove


@pytest.fixture
def grove(tmp_path: Path) -> Iterator[Grove]:
    yield Grove(tmp_path)
    for path in tmp_path.glob("**/closed"):
        path.chmod(0o700)


# --exclude


@pytest.mark.parametrize(
    ("sources", "excludes", "taken"),
    [
        (("/hom*",), ("*.txt",), ["home.md", "homely"]),  # the reference's examples
        (("/hom*",), ("*.txt", "*.md"), ["homely"]),
        (("/d",), ("*.txt",), ["keep.md", "sub/b.txt", "sub/c"]),
        (("/d",), ("**/*.txt",), ["keep.md", "sub/c"]),
        (("/d",), ("sub",), ["a.txt", "keep.md"]),
        (("/d",), ("/sub/",), ["a.txt", "keep.md"]),
        (("/d",), ("d/sub",), ["a.txt", "keep.md", "sub/b.txt", "sub/c"]),
        (("/d",), ("d",), ["a.txt", "keep.md", "sub/b.txt", "sub/c"]),
        (("/",), ("d", "hom*"), []),
        (("/d",), ("*", "!sub/c"), ["sub/c"]),
        (("/d",), ("sub/?.txt", "[ab].txt"), ["keep.md", "sub/c"]),
        (("/home.md", "/home.txt"), ("home.txt",), ["home.md"]),
        (("/d/*.txt", "/home.md"), ("d/a.txt",), ["home.md"]),
        (("/*",), ("d",), ["home.md", "home.txt", "homely"]),
        (("/home.txt",), ("*",), []),
    ],
)
def test_what_is_excluded_is_not_copied(
    grove: Grove, sources: tuple[str, ...], excludes: tuple[str, ...], taken: list[str]
) -> None:
    grove.put("home.txt", "home.md", "homely", "d/a.txt", "d/keep.md", "d/sub/b.txt", "d/sub/c")
    assert grove.copy(*sources, excludes=excludes) == taken


def test_excluded_directories_are_not_walked(grove: Grove) -> None:
    grove.put("d/a", "d/out/closed/b")
    (grove.root / "d/out" / "/".join("x" * 300)).mkdir(parents=True)  # deeper than a walk goes
    assert grove.copy("/d", excludes=("out",)) == ["a"]
    with pytest.raises(Invalid, match="nested more than"):
        grove.copy("/d")


def test_only_what_is_copied_counts_for_the_cache(grove: Grove) -> None:
    grove.put("d/a", "d/b.log", "d/sub/c.log")
    (grove.root / "d/sub").chmod(0o750)
    op = Copy(("/d",), "/x/", excludes=("**/*.log",))
    before = grove.digest(op)
    (grove.root / "d/b.log").write_text("changed")
    (grove.root / "d/new.log").write_text("new")
    assert grove.digest(op) == before
    (grove.root / "d/a").write_text("changed")
    assert grove.digest(op) != before


def test_excludes_and_the_ignore_file_add_up(grove: Grove) -> None:
    grove.put("d/a", "d/b", "d/c/d", "d/c/e")
    grove.ignore = parse_ignore("d/a\nd/c\n!d/c/e\n")
    assert grove.copy("/d", excludes=("b",)) == ["c/e"]
    assert grove.copy("/d", excludes=("c",)) == ["b"]


# --parents


@pytest.mark.parametrize(
    ("sources", "taken"),
    [
        (("/./x/a.txt", "/./y/a.txt"), ["x/a.txt", "y/a.txt"]),  # the reference's examples
        (("/x/./y/*.txt",), ["y/a.txt", "y/b.txt"]),
        (("/./src/**/*.txt",), ["src/a.txt", "src/x/b.txt", "src/x/y/c.txt"]),
        (("/./src",), ["src/a.txt", "src/x/b.txt", "src/x/y/c.txt", "src/x/y/d"]),
        (("/src/./",), ["a.txt", "x/b.txt", "x/y/c.txt", "x/y/d"]),
        (("/src/x/./y/c.txt",), ["y/c.txt"]),
        (("/s?c/./x/b.txt",), ["x/b.txt"]),
        (("/./*/a.txt",), ["src/a.txt", "x/a.txt", "y/a.txt"]),
        (("/./**/y",), ["src/x/y/c.txt", "src/x/y/d", "x/y/a.txt", "x/y/b.txt", "y/a.txt"]),
        (("/./**/nothing",), []),
        (("/./src/*/b.txt", "/./src/x/y/d"), ["src/x/b.txt", "src/x/y/d"]),
    ],
)
def test_parents_are_kept_from_the_pivot_on(
    grove: Grove, sources: tuple[str, ...], taken: list[str]
) -> None:
    grove.put("x/a.txt", "y/a.txt", "x/y/a.txt", "x/y/b.txt")
    grove.put("src/a.txt", "src/x/b.txt", "src/x/y/c.txt", "src/x/y/d")
    assert grove.parents(*sources) == taken


def test_parents_keep_their_metadata_and_nothing_else_comes_along(grove: Grove) -> None:
    grove.put("a/b/c", "a/other/d", "a/e", "z/f")
    (grove.root / "a").chmod(0o711)
    (grove.root / "a/b").chmod(0o2750)
    assert grove.parents("/./a/b/c") == ["a/b/c"]
    assert grove.modes == {"x": 0o755, "x/a": 0o711, "x/a/b": 0o2750, "x/a/b/c": 0o644}


def test_parents_have_modes_changed_too(grove: Grove) -> None:
    grove.put("a/b")
    (grove.root / "a").chmod(0o700)
    grove.parents("/./a/b", chmod="u=rwX,go=rX")
    assert grove.modes == {"x": 0o755, "x/a": 0o755, "x/a/b": 0o644}
    grove.parents("/./a/b", chmod="g+w")
    assert grove.modes == {"x": 0o755, "x/a": 0o720, "x/a/b": 0o664}


def test_parents_of_a_file_make_a_directory_of_the_destination(grove: Grove) -> None:
    grove.put("a")
    assert grove.parents("/./a", to="/x") == ["/a"]


def test_excludes_of_parents_are_from_the_pivot_on(grove: Grove) -> None:
    grove.put("a/b/c", "a/b/d", "a/e")
    assert grove.parents("/./a", excludes=("a/b/c",)) == ["a/b/d", "a/e"]
    assert grove.parents("/a/./b", excludes=("b/c",)) == ["b/d"]
    assert grove.parents("/./**/[cd]", excludes=("a/b",)) == []
    assert "x/a" not in grove.modes


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("/./a/missing", "a/missing is not in the build context"),
        ("/a/./missing", "a/missing is not in the build context"),
        ("/missing/./b", "missing is not in the build context"),
        ("/a/f/./x", "a/f in the build context is not a directory before /./"),
        ("/./link/f", "link/f in the build context leads through a symbolic link"),
        ("/./secret", "secret is not in the build context"),
        ("/./out/x", "out/x is not in the build context"),
    ],
)
def test_parents_that_are_not_there_are_named(grove: Grove, source: str, message: str) -> None:
    grove.put("a/f", "secret")
    (grove.root / "link").symlink_to("a")
    (grove.root / "out").symlink_to("..")
    (grove.root.parent / "x").write_text("outside")
    grove.ignore = parse_ignore("secret\n")
    with pytest.raises(NotFound) as caught:
        grove.parents(source)
    assert caught.value.message == message
    assert (caught.value.hint == "the ignore file leaves it out") is (source == "/./secret")


def test_links_are_kept_under_the_pivot_and_followed_before_it(grove: Grove) -> None:
    grove.put("a/f")
    (grove.root / "link").symlink_to("a")
    (grove.root / "a/out").symlink_to("../../../etc")
    assert grove.parents("/./link") == ["link"]
    assert grove.parents("/link/./f") == ["f"]
    assert grove.parents("/./**/*u*") == ["a/out"]
    assert grove.parents("/./l*/f") == []


def test_escaped_wildcards_are_names(grove: Grove) -> None:
    grove.put("a[0]/f", "a0/f")
    assert grove.parents("/./a\\[0]/f") == ["a[0]/f"]
    assert grove.parents("/./a[[]0]/f") == ["a[0]/f"]
    with pytest.raises(NotFound, match=r"^b\[0\] is not in"):
        grove.parents("/./b\\[0]")


def test_strange_names_are_selected_by_their_bytes(grove: Grove) -> None:
    odd = os.fsdecode(b"d/new\nline-\xff")
    grove.put(odd, "d/plain")
    os.mkfifo(grove.root / "d/pipe")
    assert grove.parents("/./d/new*") == [odd]
    assert grove.copy("/d", excludes=("new*",)) == ["pipe", "plain"]
    os.mknod(grove.root / "d/socket", 0o140600)
    assert grove.copy("/d", excludes=("socket", "pipe", "new*")) == ["plain"]
    assert grove.copy("/d", excludes=("pipe", "new*")) == ["plain"]  # a tree goes without them
    with pytest.raises(CortenError, match="is a socket"):
        grove.copy("/d/socket")
