"""Directories that no member names: which these are, and what they lie over."""

from __future__ import annotations

import msgspec
import pytest

from corten.archive.entry import Entry
from corten.errors import Unsupported
from corten.snapshot.holdings import LayerRecord
from corten.snapshot.implied import MAX_IMPLIED, MAX_IMPLIED_SIZE, Implied, covering
from corten.snapshot.tree import LayerTree, Node
from support.tars import directory, entries, file, link, pack, symlink


def grow(*members: Entry | tuple[Entry, bytes]) -> LayerTree:
    tree = LayerTree()
    for entry in entries(pack(*members)):
        tree.add(entry, 0)
    tree.complete()
    return tree


def paths(implied: tuple[Implied, ...]) -> list[bytes]:
    """The paths from the root."""
    found: list[bytes] = []
    for each in implied:
        within = found[each.within] + b"/" if each.within >= 0 else b""
        found.append(within + each.path)
    return found


def implied(*members: Entry | tuple[Entry, bytes]) -> set[bytes]:
    return set(paths(grow(*members).implied))


def test_parents_that_no_member_names_are_implied() -> None:
    assert implied(file(b"a/b/c"), directory(b"d"), file(b"d/e")) == {b"a", b"a/b"}
    assert implied(directory(b"a"), file(b"a/b/c")) == {b"a/b"}
    assert implied(directory(b"a"), file(b"b")) == set()


def test_a_later_member_makes_it_explicit() -> None:
    assert implied(file(b"a/b/c"), directory(b"a/b")) == {b"a"}
    assert implied(file(b"a/b/c"), directory(b"./a/"), directory(b"a//b")) == set()


def test_what_is_replaced_is_not_listed() -> None:
    assert implied(file(b"a/b/c"), file(b"a/b")) == {b"a"}
    assert implied(file(b"a/b/c"), file(b"a")) == set()
    assert implied(file(b"a/b/c"), symlink(b"a", b"d"), file(b"a/e")) == {b"d"}
    assert implied(file(b"a/b/c"), file(b"a"), directory(b"a"), file(b"a/b/c")) == {b"a/b"}


def test_whiteouts_marks_and_links_imply_directories() -> None:
    assert implied(file(b"a/.wh.b")) == {b"a"}
    assert implied(file(b"a/.wh..wh..opq")) == {b"a"}
    assert implied(link(b"a/b", b"c/d")) == {b"a"}


def test_nothing_is_below_what_is_new() -> None:
    assert implied(file(b".wh.a"), file(b"a/b/c")) == set()
    assert implied(file(b"a/b/c"), file(b".wh.a")) == set()
    assert implied(file(b"a/b/c"), file(b"a/.wh..wh..opq")) == {b"a"}
    assert implied(file(b"a/b/c"), file(b".wh..wh..opq")) == set()
    assert implied(directory(b"a"), file(b"a/b/c/d"), file(b"a/b/.wh.c")) == {b"a/b"}


def test_their_metadata_are_fixed_where_no_layer_says_more() -> None:
    node = (grow(file(b"a/b")).root.children or {})[b"a"]
    assert (node.entry.mode, node.entry.uid, node.entry.mtime_ns, node.implied) == (
        0o755,
        0,
        0,
        True,
    )


def test_list_of_a_deep_tree_is_not_longer_than_its_names() -> None:
    tree = grow(file(b"d/" * 1500 + b"f"))
    assert tree.implied[:2] == (Implied(-1, b"d"), Implied(0, b"d"))
    assert len(tree.implied) == 1500
    assert len(msgspec.json.encode(tree.implied)) < 30_000
    assert paths(tree.implied)[-1] == (b"d/" * 1500)[:-1]


def test_completing_again_changes_nothing() -> None:
    tree = grow(file(b"a/b/c"))
    before = tree.implied
    tree.complete()
    assert tree.implied == before


def test_record_keeps_them_and_older_records_have_none() -> None:
    record = LayerRecord("erofs", implied=grow(file(b"\xff/b")).implied)
    assert msgspec.json.decode(msgspec.json.encode(record), type=LayerRecord) == record
    assert msgspec.json.decode(b'{"driver":"erofs"}', type=LayerRecord).implied == ()


def test_too_many_are_refused() -> None:
    tree = LayerTree()
    for number in range(MAX_IMPLIED):
        tree.add(Entry(b"%d/f" % number, "file"), 0)
    tree.complete()
    assert len(tree.implied) == MAX_IMPLIED
    tree.add(Entry(b"more/f", "file"), 0)
    with pytest.raises(Unsupported, match=f"name {MAX_IMPLIED + 1} of its directories"):
        tree.complete()


def test_too_long_paths_together_are_refused() -> None:
    tree = LayerTree()
    long = b"/".join([b"l" * 200] * 18)
    parts = long.split(b"/")
    for depth in range(1, len(parts) + 1):
        tree.add(Entry(b"/".join(parts[:depth]), "directory"), 0)
    for number in range(MAX_IMPLIED_SIZE // len(long) + 1):
        tree.add(Entry(long + b"/%d/f" % number, "file"), 0)
    with pytest.raises(Unsupported, match="bytes of paths"):
        tree.complete()


def test_those_that_lie_over_a_directory_are_found_and_others_not_looked_for() -> None:
    below = grow(directory(b"a"), directory(b"a/b"), file(b"x"), directory(b"z")).root
    layer = grow(file(b"a/b/c/d/f"), file(b"n/o/f"), file(b"x/y/f"), directory(b"z"))
    asked = []

    def enter(node: Node, name: bytes) -> Node | None:
        asked.append(name)
        child = (node.children or {}).get(name)
        return child if child is not None and child.children is not None else None

    every = paths(layer.implied)
    found = covering(layer.implied, below, enter)
    assert {every[number]: node.entry.name for number, node in found} == {
        b"a": b"a/",
        b"a/b": b"a/b/",
    }
    assert sorted(asked) == [b"a", b"b", b"c", b"n", b"x"]
