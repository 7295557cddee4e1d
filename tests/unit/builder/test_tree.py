"""Trees from inside: links, patterns, walks, contexts."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from corten.builder.context import Context, open_context, read_small
from corten.builder.tree import Tree, open_tree
from corten.builder.walk import single, walk
from corten.dockerfile.ignore import Ignore, parse_ignore
from corten.dockerfile.patterns import PatternError
from corten.errors import Conflict, Invalid, NotFound


@pytest.fixture
def root(tmp_path: Path) -> Path:
    top = tmp_path / "top"
    for name in (
        "a.txt",
        "b.txt",
        "c.md",
        "sub/d.txt",
        "sub/deep/e.txt",
        "arr[0].txt",
        "sub2/d.txt",
    ):
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "outside").write_text("secret")
    (top / "link").symlink_to("a.txt")
    (top / "dir").symlink_to("sub")
    (top / "absolute").symlink_to("/sub/d.txt")
    (top / "out").symlink_to("../outside")
    (top / "circle").symlink_to("circle")
    return top


@pytest.fixture
def tree(root: Path) -> Iterator[Tree]:
    with open_tree(root, None, "the test") as opened:
        yield opened


def names(tree: Tree, pattern: str) -> list[tuple[str, str]]:
    return [(found.name, found.path) for found in tree.find(pattern)]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("/a.txt", [("a.txt", "a.txt")]),
        ("/", [("", "")]),
        ("/sub", [("sub", "sub")]),
        ("/sub/d.txt", [("d.txt", "sub/d.txt")]),
        ("/link", [("link", "a.txt")]),
        ("/dir/d.txt", [("d.txt", "sub/d.txt")]),
        ("/dir", [("dir", "sub")]),
        ("/absolute", [("absolute", "sub/d.txt")]),
        ("/out", []),
        ("/missing", []),
        ("/a.txt/x", []),
        ("/*.txt", [("a.txt", "a.txt"), ("arr[0].txt", "arr[0].txt"), ("b.txt", "b.txt")]),
        ("/arr[[]0].txt", [("arr[0].txt", "arr[0].txt")]),
        ("/sub*/d.txt", [("d.txt", "sub/d.txt"), ("d.txt", "sub2/d.txt")]),
        ("/*/deep/*", [("e.txt", "sub/deep/e.txt"), ("e.txt", "sub/deep/e.txt")]),
        ("/d*/d.txt", [("d.txt", "sub/d.txt")]),
        ("/li?k", [("link", "a.txt")]),
        ("/x*", []),
        ("/out*", [("out", "out")]),
        ("/circ*", [("circle", "circle")]),
    ],
)
def test_what_a_source_names(tree: Tree, pattern: str, found: list[tuple[str, str]]) -> None:
    assert names(tree, pattern) == found


def test_a_malformed_pattern_is_refused(tree: Tree) -> None:
    with pytest.raises(PatternError):
        tree.find("/[a")


@pytest.mark.parametrize(
    ("path", "real"),
    [
        ("dir/deep", "sub/deep"),
        ("dir/../a.txt", "a.txt"),
        ("../../etc/passwd", "etc/passwd"),
        ("missing/../a.txt", "a.txt"),
        ("missing/x/y", "missing/x/y"),
        ("link", "a.txt"),
        ("out", "outside"),
        ("", ""),
    ],
)
def test_links_are_followed_inside(tree: Tree, path: str, real: str) -> None:
    assert tree.resolve(path) == real


def test_the_last_link_is_kept_where_asked(tree: Tree) -> None:
    assert tree.resolve("dir/../link", follow=False) == "link"


def test_a_circle_of_links_is_refused(tree: Tree) -> None:
    with pytest.raises(Invalid, match="in a circle"):
        tree.resolve("circle/x")


def test_opening_does_not_follow_a_last_link_nor_leave_the_tree(tree: Tree, root: Path) -> None:
    for path in ("out", "../outside", "/etc/passwd"):
        with pytest.raises(OSError, match=r"."):
            os.close(tree.open(path))
    fd = tree.open("dir/d.txt")
    assert os.read(fd, 100) == b"sub/d.txt"
    os.close(fd)


def test_odd_names_are_names(root: Path) -> None:
    for name in (b"\xff\xfe", "ü x\n".encode()):
        (root / os.fsdecode(name)).write_text("x")
    with open_tree(root) as tree:
        assert ("ü x\n", "ü x\n") in names(tree, "/*")
        assert any(found.name == os.fsdecode(b"\xff\xfe") for found in tree.find("/*"))


def test_closing_twice_is_fine(root: Path) -> None:
    tree = open_tree(root)
    tree.close()
    tree.close()


# Walks


def paths(tree: Tree, under: str = "") -> list[str]:
    return [item.path for item in walk(tree, under)]


def test_a_walk_goes_in_order_of_names_and_follows_nothing(tree: Tree) -> None:
    assert paths(tree) == [
        "a.txt", "absolute", "arr[0].txt", "b.txt", "c.md", "circle", "dir", "link", "out",
        "sub", "sub/d.txt", "sub/deep", "sub/deep/e.txt", "sub2", "sub2/d.txt",
    ]  # fmt: skip
    assert paths(tree, "sub") == ["d.txt", "deep", "deep/e.txt"]


def test_items_can_be_read_while_they_are_at_hand(tree: Tree) -> None:
    seen = {}
    for item in walk(tree, "sub"):
        if not item.is_directory:
            fd = item.open()
            seen[item.source] = os.read(fd, 100).decode()
            os.close(fd)
    assert seen == {"sub/d.txt": "sub/d.txt", "sub/deep/e.txt": "sub/deep/e.txt"}


def test_a_link_is_not_opened(tree: Tree) -> None:
    links = [item for item in walk(tree, "") if item.name == "out"]
    assert len(links) == 1
    for item in walk(tree, ""):
        if item.name == "out":
            assert item.link() == "../outside"
            with pytest.raises(Conflict, match="out changed while it was copied"):
                item.open()


def test_one_thing_is_an_item_too(tree: Tree) -> None:
    (found,) = tree.find("/absolute")
    ((path, source, name),) = [(i.path, i.source, i.name) for i in single(tree, found)]
    assert (path, source, name) == ("absolute", "sub/d.txt", "d.txt")


def test_descriptors_are_closed_when_a_walk_is_left(tree: Tree) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in walk(tree, ""):
        break
    with pytest.raises(RuntimeError), closing(walk(tree, "")) as walking:
        next(walking)
        raise RuntimeError
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_nesting_is_bounded(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d", dir_fd=fd)
        deeper = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = deeper
    os.close(fd)
    with open_tree(tmp_path) as tree, pytest.raises(Invalid, match="nested more than"):
        paths(tree)


# What an ignore file leaves out


def ignored(root: Path, text: str) -> Tree:
    return Context(root, parse_ignore(text)).tree()


def test_what_is_left_out_is_not_there(root: Path) -> None:
    with ignored(root, "*.txt\nsub\n!sub/deep\n") as tree:
        assert names(tree, "/a.txt") == []
        assert names(tree, "/*.txt") == []
        assert names(tree, "/link") == []
        assert names(tree, "/sub/d.txt") == []
        assert names(tree, "/sub/deep/e.txt") == [("e.txt", "sub/deep/e.txt")]
        assert tree.left_out("a.txt")


def test_a_file_left_out_is_not_there_though_a_pattern_takes_others_in(root: Path) -> None:
    # "!**/e.txt" could take something in again under anything: only directories are under way.
    with ignored(root, "*\n!**/e.txt\n") as tree:
        assert names(tree, "/a.txt") == []
        assert names(tree, "/*.txt") == []
        assert names(tree, "/sub/d.txt") == []
        assert names(tree, "/absolute") == []
        assert names(tree, "/sub/deep/e.txt") == [("e.txt", "sub/deep/e.txt")]


def test_a_link_left_out_is_not_followed(root: Path) -> None:
    with ignored(root, "dir\n!**/d.txt\n") as tree:
        assert names(tree, "/dir/deep/e.txt") == []
        assert names(tree, "/sub/d.txt") == [("d.txt", "sub/d.txt")]


def test_a_directory_left_out_shows_where_something_in_it_is_not(root: Path) -> None:
    with ignored(root, "*\n!sub/deep/e.txt\n") as tree:
        assert paths(tree) == ["sub", "sub/deep", "sub/deep/e.txt"]
    with ignored(root, "*\n!sub/deep/missing\n") as tree:
        assert paths(tree) == []
    with ignored(root, "sub\n**/d.txt\n!c.md\n") as tree:
        assert "sub" not in paths(tree)
        assert "sub2" in paths(tree)
        assert "sub2/d.txt" not in paths(tree)


def test_a_file_named_after_the_dockerfile_comes_first(root: Path) -> None:
    (root / ".dockerignore").write_text("a.txt\n")
    (root / "app.Dockerfile.dockerignore").write_text("b.txt\n")
    assert open_context(root).ignore.matches("a.txt")
    assert open_context(root, root / "Dockerfile").ignore.matches("a.txt")
    special = open_context(root, root / "app.Dockerfile").ignore
    assert special.matches("b.txt")
    assert not special.matches("a.txt")


def test_no_ignore_file_leaves_nothing_out(root: Path) -> None:
    assert not open_context(root).ignore


def test_a_context_that_is_no_directory_is_refused(root: Path) -> None:
    with pytest.raises(NotFound, match="does not exist"):
        open_context(root / "missing")
    with pytest.raises(Invalid, match="is not a directory"):
        open_context(root / "a.txt")


def test_a_context_that_went_away_is_not_found(root: Path, tmp_path: Path) -> None:
    context = Context(tmp_path / "gone", Ignore())
    with pytest.raises(NotFound, match="build context"):
        context.tree()


def test_small_texts_are_read_and_large_or_odd_ones_refused(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes("é".encode())
    assert read_small(path, "file") == "é"
    path.write_bytes(b"a\n\xff")
    with pytest.raises(Invalid, match="line 2: not UTF-8"):
        read_small(path, "file")
    path.write_bytes(b"x" * (1024 * 1024 + 1))
    with pytest.raises(Invalid, match="larger than"):
        read_small(path, "file")
    with pytest.raises(NotFound, match=r"file .*missing does not exist"):
        read_small(tmp_path / "missing", "file")
    with pytest.raises(Invalid, match="cannot be read"):
        read_small(tmp_path, "file")


def test_a_socket_is_walked_past_without_being_opened(root: Path) -> None:
    server = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    try:
        os.chdir(root)
        server.bind("sock")
    finally:
        os.chdir(here)
        server.close()
    with open_tree(root) as tree:
        assert "sock" in paths(tree)
