"""Merged indexes, read back without mounting; what needs the kernel is in tests/contracts."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest

from corten.archive.entry import Entry
from corten.errors import Invalid, Unsupported
from corten.snapshot.erofs_index import build_index
from corten.snapshot.erofs_layout import BLOCK, DEVICE_ADDRESS, META, SLOTS, blocks_of
from corten.snapshot.erofs_reader import IndexReader
from corten.snapshot.feeding import read_tree
from corten.snapshot.holdings import LayerRecord
from corten.snapshot.merging import Merged, Stratum, merge_indexes
from corten.snapshot.stacking import root_metadata
from support.layers import Members, many
from support.tars import directory, file, link, pack, symlink, write_tar

Tree = dict[bytes, tuple[int, ...]]


def layer(place: Path, members: Members) -> Stratum:
    """A layer as the driver knows it."""
    data = pack(*members)
    diff_id, tar = write_tar(place / "layer.tar", data)
    tree = read_tree(tar)
    index = build_index(tree, len(data))
    record = LayerRecord(
        "erofs",
        tree.whiteouts,
        root_metadata(tree.explicit_root),
        data_size=len(data),
        links=tree.links,
        opaque=tree.root.opaque,
        implied=tree.implied,
    )
    return Stratum(diff_id, IndexReader(index), record)


def merge(place: Path, *layers: Members) -> Merged:
    return merge_indexes([layer(place, members) for members in layers])


def walk(image: bytes) -> Tree:
    """Everything by its path, with the fields of its inode."""
    reader = IndexReader(image)
    found: Tree = {b"": reader.inode(reader.root)}
    todo = [(b"", reader.root)]
    while todo:
        path, nid = todo.pop()
        for name, number, kind in reader.names(nid):
            inner = path + b"/" + name if path else name
            found[inner] = (number, *reader.inode(number))
            if kind == 2:
                todo.append((inner, number))
    return found


def test_one_layer_merged_is_that_layer(tmp_path: Path) -> None:
    only = layer(tmp_path, [*many(b"d", 20), symlink(b"s", b"t"), link(b"l", b"d/f1")])
    merged = merge_indexes([only])
    before, after = walk(only.reader.data), walk(b"".join(merged.pieces))
    assert before.pop(b"")[7:] == after.pop(b"")[7:]  # the root alone is written anew
    assert after == before
    assert merged.devices == (only.diff_id,)


def test_largest_layers_index_is_taken_over_as_it_is(tmp_path: Path) -> None:
    base = layer(tmp_path, [*many(b"large/inner", 3000), directory(b"other")])
    merged = merge_indexes([layer(tmp_path, [file(b"low", b"1")]), base])
    before, after = base.reader.data, b"".join(merged.pieces)
    assert len(after) < len(before) + 4 * BLOCK
    changed = [i for i in range(META, len(before)) if before[i] != after[i]]
    assert len(changed) < 64  # the root's inode
    inside = walk(after)[b"large/inner"]
    assert inside == walk(before)[b"large/inner"]


def test_data_of_other_layers_follow_the_largest_one_s(tmp_path: Path) -> None:
    low = layer(tmp_path, [file(b"low", b"1" * 700)])
    base = layer(tmp_path, many(b"d", 50))
    high = layer(tmp_path, [file(b"high", b"2" * 700)])
    merged = merge_indexes([low, base, high])
    assert merged.devices[0] == base.diff_id
    assert set(merged.devices) == {low.diff_id, base.diff_id, high.diff_id}
    sizes = {each.diff_id: blocks_of(each.record.data_size) for each in (low, base, high)}
    at = {}
    address = DEVICE_ADDRESS
    for device in merged.devices:
        at[device] = address
        address += sizes[device]
    tree = walk(b"".join(merged.pieces))
    for path, source in ((b"low", low), (b"high", high)):
        own = walk(source.reader.data)[path][6] - DEVICE_ADDRESS
        assert tree[path][6] - at[source.diff_id] == own


def test_layers_that_bring_no_data_are_no_devices(tmp_path: Path) -> None:
    merged = merge(tmp_path, many(b"d", 20), [directory(b"e"), symlink(b"s", b"t")], [file(b"f")])
    assert len(merged.devices) == 1


def test_link_counts_are_of_the_names_that_are_left(tmp_path: Path) -> None:
    twins: Members = [file(b"a", b"x"), link(b"b", b"a"), link(b"d/c", b"a"), link(b"d/e", b"a")]
    hiding: Members = [file(b".wh.a"), file(b"d/.wh.c")]
    fillings: list[tuple[Members, Members]] = [(many(b"many", 50), []), ([], many(b"many", 50))]
    for filling in fillings:
        tree = walk(b"".join(merge(tmp_path, [*twins, *filling[0]], [*hiding, *filling[1]]).pieces))
        assert {path for path in tree if path in (b"a", b"b", b"d/c", b"d/e")} == {b"b", b"d/e"}
        assert tree[b"b"] == tree[b"d/e"]
        assert tree[b"b"][12] == 2


def test_subdirectories_are_counted(tmp_path: Path) -> None:
    tree = walk(
        b"".join(
            merge(tmp_path, [directory(b"d/x"), directory(b"d/y")], [directory(b"d/z")]).pieces
        )
    )
    assert tree[b"d"][12] == 5
    assert all(stat.S_ISDIR(tree[path][3]) for path in (b"d/x", b"d/y", b"d/z"))


def test_parents_are_named_right_when_a_directory_gets_another_inode(tmp_path: Path) -> None:
    base = layer(tmp_path, [*many(b"d/inner", 50), directory(b"d/-first")])
    above = layer(tmp_path, [directory(b"d", xattrs={"user.x": b"v" * 300})])
    reader = IndexReader(b"".join(merge_indexes([base, above]).pieces))
    ((_, nid, _),) = reader.names(reader.root)
    assert reader.area(nid) == above.reader.area(above.reader.names(above.reader.root)[0][1])
    for _, inner, kind in reader.names(nid):
        assert kind == 2
        at = reader.parent_entry(inner)
        assert int.from_bytes(reader.data[at : at + 8], "little") == nid


def test_root_with_larger_attributes_keeps_a_small_number(tmp_path: Path) -> None:
    root = directory(b"./", 0o711, xattrs={"user.x": b"v" * 3000})
    reader = IndexReader(b"".join(merge(tmp_path, many(b"d", 50), [root]).pieces))
    assert reader.root << 5 < META
    assert reader.inode(reader.root)[2] & 0o7777 == 0o711
    assert b"v" * 3000 in reader.area(reader.root)


def test_what_does_not_fit_is_unsupported(tmp_path: Path) -> None:
    huge = {f"user.{i}": b"v" * 6000 for i in range(3)}
    with pytest.raises(Unsupported, match="root directory"):
        merge(tmp_path, many(b"d", 200), [directory(b"./", xattrs=huge)])
    layers = [layer(tmp_path, [file(b"f%d" % i, b"x")]) for i in range(SLOTS + 1)]
    with pytest.raises(Unsupported, match=f"{SLOTS + 1} layers"):
        merge_indexes(layers)
    assert len(merge_indexes(layers[1:]).devices) == SLOTS


@pytest.mark.parametrize("largest", [0, 1, 2])
def test_implied_directories_look_as_in_the_topmost_layer_that_names_them(
    tmp_path: Path, largest: int
) -> None:
    layers: list[list[Entry | tuple[Entry, bytes]]] = [
        [directory(b"d", 0o1777, uid=7), directory(b"d/e", 0o700, xattrs={"user.e": b"e" * 500})],
        [file(b"d/e/f/a"), directory(b"opened", 0o711), file(b"d/gone/x")],
        [file(b"d/e/f/b"), file(b"opened/.wh..wh..opq"), file(b".wh.new"), file(b"new/x")],
    ]
    layers[largest] += many(b"many", 40)
    image = b"".join(merge(tmp_path, *layers, [file(b"opened/y"), file(b"d/.wh.gone")]).pieces)
    tree = walk(image)
    found = {name: stat.S_IMODE(tree[name][3]) for name in (b"d", b"d/e", b"d/e/f", b"opened")}
    assert found == {b"d": 0o1777, b"d/e": 0o700, b"d/e/f": 0o755, b"opened": 0o711}
    assert tree[b"d"][8] == 7
    assert b"e" * 500 in IndexReader(image).area(tree[b"d/e"][0])


def test_link_that_names_nothing_is_invalid(tmp_path: Path) -> None:
    for target in (b"missing", b"d", b"d/missing/x", b"f/x", b"gone"):
        with pytest.raises(Invalid, match="in no layer below"):
            merge(
                tmp_path,
                [directory(b"d"), file(b"f"), file(b"gone"), symlink(b"loop", b"loop")],
                [file(b".wh.gone")],
                [link(b"x", target)],
            )


def test_links_go_through_symlinks_of_lower_layers(tmp_path: Path) -> None:
    low: Members = [
        file(b"usr/lib/a", b"a"),
        symlink(b"lib", b"usr/lib"),
        symlink(b"up", b"../../lib/."),
    ]
    tree = walk(
        b"".join(merge(tmp_path, low, [link(b"x", b"lib/a")], [link(b"y", b"up/a")]).pieces)
    )
    assert tree[b"x"] == tree[b"y"] == tree[b"usr/lib/a"]
    assert tree[b"x"][12] == 3
    with pytest.raises(Invalid):
        merge(tmp_path, [symlink(b"loop", b"loop")], [link(b"x", b"loop/a")])


def test_links_that_lead_through_too_many_directories_are_refused(tmp_path: Path) -> None:
    low: Members = [directory(b"d"), file(b"f"), symlink(b"long", b"d/../" * 200 + b".")]
    members = [link(b"x%d" % number, b"long/" * 39 + b"f") for number in range(4)]
    layers = [layer(tmp_path, low), layer(tmp_path, members)]
    assert len(walk(b"".join(merge_indexes(layers).pieces))) == 8
    with pytest.raises(Unsupported, match="too many directories"):
        merge_indexes(layers, 1000)


def test_same_layer_twice_is_what_it_is_on_top(tmp_path: Path) -> None:
    one, two = layer(tmp_path, [file(b"a", b"1")]), layer(tmp_path, [file(b".wh.a"), file(b"b")])
    assert set(walk(b"".join(merge_indexes([one, two, one]).pieces))) == {b"", b"a", b"b"}
    assert set(walk(b"".join(merge_indexes([one, one, two]).pieces))) == {b"", b"b"}


def test_index_of_the_first_kind_is_no_base(tmp_path: Path) -> None:
    base = layer(tmp_path, many(b"d", 50))
    base.reader.mergeable = False
    with pytest.raises(Unsupported, match="no room"):
        merge_indexes([base, layer(tmp_path, [file(b"f")])])


def test_same_layers_give_the_same_bytes(tmp_path: Path) -> None:
    layers: tuple[Members, Members] = (many(b"d", 50), [file(b"d/.wh.f1"), link(b"x", b"d/f2")])
    first, second = merge(tmp_path, *layers), merge(tmp_path, *layers)
    assert b"".join(first.pieces) == b"".join(second.pieces)


def test_layers_with_more_data_than_an_index_can_address_are_refused(tmp_path: Path) -> None:
    layers = []
    for name in (b"a", b"b", b"c"):
        made = layer(tmp_path, [file(name, b"data")])
        # As if a sparse file of a TiB lay behind it: allowed for each layer, too much together.
        large = msgspec.structs.replace(made.record, data_size=1 << 40)
        layers.append(made._replace(record=large))
    with pytest.raises(Unsupported, match="address"):
        merge_indexes(layers)
    assert len(merge_indexes(layers[:1]).devices) == 1
