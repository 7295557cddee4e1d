"""The tree that members make."""

from __future__ import annotations

import pytest

from corten.archive.entry import Entry
from corten.errors import CortenError, Invalid, Unsupported
from corten.snapshot.links import MAX_LINKS, MAX_LINKS_SIZE
from corten.snapshot.members import clean
from corten.snapshot.tree import LayerTree, Node
from support.layers import Members
from support.tars import directory, entries, file, link, pack, symlink


def grow(*members: Entry | tuple[Entry, bytes]) -> LayerTree:
    tree = LayerTree()
    for number, entry in enumerate(entries(pack(*members))):
        tree.add(entry, number * 512)
    return tree


def node(tree: LayerTree, path: bytes) -> Node:
    found = tree.root
    for part in path.split(b"/"):
        assert found.children is not None
        found = found.children[part]
    return found


def paths(tree: LayerTree) -> set[bytes]:
    found = set()
    todo = [(b"", tree.root)]
    while todo:
        path, above = todo.pop()
        for name, child in (above.children or {}).items():
            found.add(path + name)
            todo.append((path + name + b"/", child))
    return found


def test_missing_parents_appear() -> None:
    tree = grow(file(b"a/b/c"))
    assert paths(tree) == {b"a", b"a/b", b"a/b/c"}
    assert node(tree, b"a").entry == Entry(b"", "directory", 0o755)


def test_parent_that_comes_later_gives_its_metadata() -> None:
    tree = grow(file(b"a/f"), directory(b"a", 0o700, uid=9))
    assert paths(tree) == {b"a", b"a/f"}
    assert (node(tree, b"a").entry.mode, node(tree, b"a").entry.uid) == (0o700, 9)


def test_root_is_only_known_if_a_member_says_it() -> None:
    assert grow(file(b"a")).explicit_root is None
    for name in (b"./", b"/", b".", b"a/.."):
        root = grow(directory(name, 0o711)).explicit_root
        assert root is not None
        assert root.mode == 0o711


def test_directory_that_was_replaced_takes_its_content_along() -> None:
    tree = grow(file(b"d/a"), file(b"d/b/c"), file(b"d"), directory(b"d"), file(b"d/new"))
    assert paths(tree) == {b"d", b"d/new"}


def test_what_is_written_under_a_replaced_directory_goes_to_the_new_one() -> None:
    tree = grow(file(b"d/e/a"), symlink(b"d/e", b"/other"), file(b"d/e/b"))
    assert paths(tree) == {b"d", b"d/e", b"other", b"other/b"}


def test_symlink_that_was_replaced_is_not_followed_any_more() -> None:
    tree = grow(symlink(b"s", b"one"), file(b"s/a"), symlink(b"s", b"two"), file(b"s/b"))
    assert paths(tree) == {b"s", b"one", b"one/a", b"two", b"two/b"}


def test_relative_symlinks_are_followed_from_where_they_are() -> None:
    tree = grow(symlink(b"d/s", b"../e/f"), file(b"d/s/x"), symlink(b"t", b"d/s"), file(b"t/y"))
    assert paths(tree) == {b"d", b"d/s", b"e", b"e/f", b"e/f/x", b"e/f/y", b"t"}


def test_last_part_is_never_followed() -> None:
    tree = grow(file(b"f"), symlink(b"s", b"f"), link(b"h", b"s"), file(b"s"))
    assert node(tree, b"h").entry.kind == "symlink"
    assert node(tree, b"s").entry.kind == "file"


def test_whiteout_and_what_this_layer_brings_do_not_depend_on_their_order() -> None:
    for members in (
        (file(b"d/.wh.x"), file(b"d/x/new")),
        (file(b"d/x/new"), file(b"d/.wh.x")),
    ):
        tree = grow(*members)
        assert node(tree, b"d/x").opaque
        assert paths(tree) == {b"d", b"d/x", b"d/x/new"}
    for members in ((file(b".wh.f"), file(b"f", b"1")), (file(b"f", b"1"), file(b".wh.f"))):
        assert not node(grow(*members), b"f").whiteout


def test_directory_over_a_whiteout_hides_what_is_below() -> None:
    assert node(grow(file(b".wh.d"), directory(b"d")), b"d").opaque
    assert not node(grow(directory(b"d")), b"d").opaque


def test_only_layers_that_hide_something_say_so() -> None:
    assert not grow(file(b"a")).whiteouts
    assert not grow(file(b".wh..wh.plnk/a"), file(b".wh..wh.aufs")).whiteouts
    assert grow(file(b".wh.a")).whiteouts
    assert grow(file(b"d/.wh..wh..opq")).whiteouts
    assert grow(Entry(b"c", "char")).whiteouts


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        (b"a/b", [b"a", b"b"]),
        (b"/a//b/", [b"a", b"b"]),
        (b"./a/./b/.", [b"a", b"b"]),
        (b"a/x/../b", [b"a", b"b"]),
        (b"a/..", []),
        (b"", []),
    ],
)
def test_paths_are_cleaned(path: bytes, parts: list[bytes]) -> None:
    assert clean(path, path) == parts


@pytest.mark.parametrize("path", [b"..", b"/..", b"a/../..", b"a/../../b", b"x" * 4097])
def test_paths_that_climb_or_are_too_long_are_invalid(path: bytes) -> None:
    with pytest.raises(Invalid):
        clean(path, path)


def test_error_names_the_member_in_one_line() -> None:
    with pytest.raises(CortenError) as caught:
        grow(file(b"evil\n\x1b[31m/../../x"))
    assert str(caught.value).isprintable()
    assert "evil" in str(caught.value)


def test_names_that_symlinks_lead_through_too_many_directories_are_refused() -> None:
    tree = LayerTree(20_000)
    detour = [directory(b"d"), symlink(b"long", b"d/../" * 200 + b".")]
    members: Members = [
        *detour,
        file(b"long/" * 40 + b"a"),
        *(file(b"long/e%d/f" % n) for n in range(9)),
    ]
    *first, last = entries(pack(*members, file(b"long/" * 39 + b"b/c")))
    for entry in first:
        tree.add(entry, 512)
    assert {b"a", b"e0/f", b"e8/f"} < paths(tree)
    with pytest.raises(Unsupported, match="too many directories"):
        tree.add(last, 512)


def test_link_that_symlinks_make_longer_than_a_path_is_refused() -> None:
    steps = 39
    long = b"/".join([b"x" * 200] * 19)
    detour = [symlink(b"s%d" % n, b"s%d/%b" % (n + 1, long)) for n in range(steps)]
    with pytest.raises(Invalid, match="over 4096 bytes") as refused:
        grow(*detour, link(b"innocent", b"s0/t"))
    assert "innocent" in refused.value.message


def test_targets_in_lower_layers_are_bounded_together() -> None:
    tree = LayerTree()
    target = b"/".join([b"x" * 200] * 20)
    with pytest.raises(Unsupported, match="bytes of names"):
        for number in range(MAX_LINKS):
            tree.add(Entry(b"l%d" % number, "link", linkname=target), 0)
    assert len(tree.root.children or {}) * len(target) + 2 * len(target) > MAX_LINKS_SIZE
