"""Which files the links of a layer name, in a merged index."""

from __future__ import annotations

from pathlib import Path

import pytest

from corten.errors import Invalid
from corten.snapshot.erofs_index import build_index
from corten.snapshot.erofs_layout import DIRECTORY
from corten.snapshot.erofs_reader import IndexReader
from corten.snapshot.feeding import read_tree
from corten.snapshot.holdings import LayerRecord
from corten.snapshot.merging import Stratum, merge_indexes
from support.layers import Members, many
from support.tars import directory, file, link, pack, symlink, write_tar


def stratum(place: Path, members: Members) -> Stratum:
    data = pack(*members)
    diff_id, tar = write_tar(place / "layer.tar", data)
    tree = read_tree(tar)
    index = build_index(tree, len(data))
    record = LayerRecord(
        "erofs", tree.whiteouts, data_size=len(data), links=tree.links, opaque=tree.root.opaque
    )
    return Stratum(diff_id, IndexReader(index), record)


def merged(place: Path, *layers: Members) -> dict[bytes, tuple[int, int, int]]:
    """Number, type and count of names of everything in a stack, by path."""
    image = b"".join(merge_indexes([stratum(place, members) for members in layers]).pieces)
    reader = IndexReader(image)
    found = {}
    todo = [(b"", reader.root)]
    while todo:
        path, nid = todo.pop()
        for name, number, kind in reader.names(nid):
            found[path + name] = (number, kind, reader.inode(number)[11])
            if kind == DIRECTORY:
                todo.append((path + name + b"/", number))
    return found


T = file(b"t", b"target")
LARGE = many(b"large", 50)


def test_link_to_a_file_of_a_small_layer_is_the_same_file(tmp_path: Path) -> None:
    seen = merged(tmp_path, [T], [link(b"l", b"t")], LARGE)
    assert seen[b"l"] == seen[b"t"]
    assert seen[b"t"][2] == 2


def test_link_in_a_directory_that_the_largest_layer_alone_has(tmp_path: Path) -> None:
    seen = merged(tmp_path, [T], [*LARGE, link(b"large/inner/l", b"t")])
    assert seen[b"large/inner/l"] == seen[b"t"]


def test_directory_above_covers_a_link(tmp_path: Path) -> None:
    seen = merged(tmp_path, [T], [link(b"l", b"t")], [directory(b"l"), file(b"l/x")], LARGE)
    assert seen[b"l"][1] == DIRECTORY
    assert seen[b"l/x"][2] == 1
    assert seen[b"t"][2] == 1


def test_absolute_symlinks_begin_at_the_root_of_the_stack(tmp_path: Path) -> None:
    below: Members = [symlink(b"d/s", b"/e"), file(b"e/x", b"right"), file(b"d/e/x", b"wrong")]
    seen = merged(tmp_path, below, [link(b"l", b"d/s/x")])
    assert seen[b"l"] == seen[b"e/x"]
    assert seen[b"d/e/x"][2] == 1


@pytest.mark.parametrize(
    "below",
    [
        [[T], [file(b".wh..wh..opq")]],
        [[file(b"t/t")], [directory(b"t"), file(b"t/.wh..wh..opq")]],
        [[T], [file(b"t/inner")]],
        [[T], [file(b".wh.t")]],
        [[symlink(b"t", b"u"), symlink(b"u", b"t")]],
    ],
    ids=["opaque-root", "directory", "directory-on-file", "whiteout", "symlinks-in-a-circle"],
)
def test_link_to_what_does_not_show_is_refused(below: list[Members], tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="which is in no layer below"):
        merged(tmp_path, *below, [link(b"l", b"t/t" if len(below) == 1 else b"t")])


def test_file_in_an_opaque_directory_of_a_lower_layer_does_not_show(tmp_path: Path) -> None:
    below: list[Members] = [[file(b"d/t")], [file(b"d/.wh..wh..opq"), file(b"d/u")]]
    with pytest.raises(Invalid, match="d/t"):
        merged(tmp_path, *below, [link(b"l", b"d/t")])
    assert merged(tmp_path, *below, [link(b"l", b"d/u")])[b"l"][2] == 2
