"""Hard links to what the layer itself does not have."""

from __future__ import annotations

import msgspec
import pytest

from corten.archive.entry import Entry
from corten.errors import Invalid, Unsupported
from corten.snapshot.holdings import LayerRecord
from corten.snapshot.links import MAX_LINKS, ForeignLink
from corten.snapshot.tree import LayerTree
from support.tars import directory, entries, file, link, pack, symlink


def grow(*members: Entry | tuple[Entry, bytes]) -> LayerTree:
    tree = LayerTree()
    for entry in entries(pack(*members)):
        tree.add(entry, 0)
    tree.complete()
    return tree


def names(tree: LayerTree) -> set[bytes]:
    return set(tree.root.children or {})


def links(*members: Entry | tuple[Entry, bytes]) -> list[tuple[bytes, bytes]]:
    return [(found.name, found.target) for found in grow(*members).links]


def test_link_to_a_lower_file_is_listed_and_not_in_the_tree() -> None:
    tree = grow(file(b"own"), link(b"d/b", b"./usr//bin/../lib/a"), link(b"own2", b"own"))
    assert tree.links == (ForeignLink(b"d/b", b"usr/lib/a"),)
    assert names(tree) == {b"own", b"own2", b"d"}
    assert (tree.root.children or {})[b"d"].children == {}


def test_link_to_a_foreign_link_is_one_too() -> None:
    assert links(link(b"b", b"a"), link(b"c", b"b")) == [(b"b", b"a"), (b"c", b"a")]


def test_later_member_replaces_a_foreign_link() -> None:
    assert links(link(b"b", b"a"), file(b"b")) == []
    assert links(link(b"b", b"a"), directory(b"b")) == []
    assert links(file(b"b"), link(b"b", b"a")) == [(b"b", b"a")]
    assert links(link(b"b", b"a"), link(b"b", b"c")) == [(b"b", b"c")]


def test_target_is_what_was_below_when_the_link_came() -> None:
    tree = grow(link(b"b", b"a"), file(b"a", b"new"), link(b"c", b"a"))
    assert tree.links == (ForeignLink(b"b", b"a"),)
    assert names(tree) == {b"a", b"c"}
    assert links(link(b"b", b"a"), file(b".wh.a")) == [(b"b", b"a")]
    assert links(link(b"b", b"d/a"), file(b"d/.wh..wh..opq")) == [(b"b", b"d/a")]


@pytest.mark.parametrize(
    "before",
    [
        [file(b".wh.d")],
        [file(b"d/.wh.e")],
        [file(b"d/e/.wh.a")],
        [file(b".wh..wh..opq")],
        [file(b"d/.wh..wh..opq")],
        [file(b".wh.d"), directory(b"d")],
        [file(b"d/e/.wh..wh..opq")],
    ],
)
def test_what_the_layer_removed_before_is_no_target(before: list[Entry]) -> None:
    with pytest.raises(Invalid, match="b is a hard link to d/e/a, which the layer has removed"):
        grow(*before, link(b"b", b"d/e/a"))


def test_symlinks_of_the_layer_are_followed_on_the_way_to_the_target() -> None:
    own = (symlink(b"lib", b"/usr/lib"), symlink(b"up", b"../../x/../y"))
    assert links(*own, link(b"b", b"lib/a")) == [(b"b", b"usr/lib/a")]
    assert links(*own, link(b"b", b"up/a")) == [(b"b", b"y/a")]
    assert links(*own, link(b"b", b"lib")) == []
    with pytest.raises(Invalid, match="too many symlinks"):
        grow(symlink(b"x", b"y"), symlink(b"y", b"x"), link(b"b", b"x/a"))


def test_link_to_itself_changes_nothing() -> None:
    tree = grow(link(b"d/a", b"d/a"))
    assert tree.links == ()
    assert (tree.root.children or {})[b"d"].children == {}


@pytest.mark.parametrize("target", [b"/", b".", b"d/..", b""])
def test_link_to_the_root_is_invalid(target: bytes) -> None:
    with pytest.raises(Invalid, match="hard link"):
        grow(directory(b"d"), link(b"b", target))


@pytest.mark.parametrize("target", [b"f/a", b".wh.a", b"d/.wh.d/a", b"x" * 256, b"x" * 256 + b"/a"])
def test_targets_that_no_layer_can_have_are_invalid(target: bytes) -> None:
    with pytest.raises(Invalid):
        grow(file(b"f"), link(b"b", target))


def test_too_many_foreign_links_are_refused() -> None:
    tree = LayerTree()
    with pytest.raises(Unsupported, match="hard links to lower layers"):
        for number in range(MAX_LINKS + 1):
            tree.add(Entry(b"l%d" % number, "link", linkname=b"a"), 0)


def test_foreign_links_are_kept_in_the_record_whatever_their_bytes() -> None:
    record = LayerRecord("erofs", links=(ForeignLink(b"\xff/\x01", b"\xfe"),))
    assert msgspec.json.decode(msgspec.json.encode(record), type=LayerRecord) == record
    assert b"links" not in msgspec.json.encode(LayerRecord("erofs"))
