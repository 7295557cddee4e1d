"""How layers act on those below them: whiteouts, opaque directories, hard links, many layers."""

from __future__ import annotations

import itertools
import os
import stat

import pytest

from corten.archive.entry import Entry
from corten.errors import Invalid
from corten.oci.digest import Digest
from corten.snapshot.mounting import mounted
from support.snapshots import Bench
from support.tars import Look, directory, file, link, look, pack, symlink

pytestmark = pytest.mark.root

BELOW = (
    directory(b"d", 0o2750, uid=7),
    file(b"d/old", b"old"),
    file(b"d/sub/deep", b"deep"),
    file(b"f", b"f", mode=0o4711, uid=9, mtime_ns=5),
    symlink(b"s", b"d"),
)


def names(seen: dict[bytes, Look]) -> set[bytes]:
    return set(seen)


@pytest.mark.parametrize("order", range(6))
def test_opaque_directory_hides_only_what_is_below_in_every_order(order: int, bench: Bench) -> None:
    members = (directory(b"d", 0o700), file(b"d/new", b"n"), file(b"d/.wh..wh..opq"))
    chosen = list(itertools.permutations(range(3)))[order]
    below = bench.layer(pack(*BELOW))
    above = bench.layer(pack(*(members[number] for number in chosen)))
    seen = bench.look(below, above)
    assert names(seen) == {b"d", b"d/new", b"f", b"s"}
    assert seen[b"d"][1] == 0o700


@pytest.mark.parametrize(
    ("members", "left"),
    [
        ((file(b".wh.d"), directory(b"d"), file(b"d/new")), {b"d", b"d/new"}),
        ((directory(b"d"), file(b"d/new"), file(b".wh.d")), {b"d", b"d/new"}),
        ((file(b"d/new"), file(b".wh.d"), file(b"d/more")), {b"d", b"d/new", b"d/more"}),
        ((file(b".wh.d"), file(b"d", b"now a file")), {b"d"}),
        ((file(b"d", b"now a file"), file(b".wh.d")), {b"d"}),
        ((file(b"d", b"now a file"),), {b"d"}),
        ((symlink(b"d", b"f"),), {b"d"}),
        ((file(b".wh.d"),), set()),
        ((file(b"d/.wh.sub"),), {b"d", b"d/old"}),
        ((file(b"d/.wh.sub"), file(b"d/sub/new")), {b"d", b"d/old", b"d/sub", b"d/sub/new"}),
        ((file(b"d/sub/new"), file(b"d/.wh.sub")), {b"d", b"d/old", b"d/sub", b"d/sub/new"}),
        ((file(b"d/.wh..wh..opq"), file(b"d/.wh.old")), {b"d"}),
        ((file(b"d/.wh.old"), file(b"d/.wh..wh..opq"), file(b"d/old")), {b"d", b"d/old"}),
    ],
)
def test_whiteouts_and_what_stands_beside_them(
    members: tuple[Entry, ...], left: set[bytes], bench: Bench
) -> None:
    below, above = bench.layer(pack(*BELOW)), bench.layer(pack(*members))
    assert names(bench.look(below, above)) == left | {b"f", b"s"}


def test_directory_in_place_of_a_file_and_back(bench: Bench) -> None:
    below = bench.layer(pack(*BELOW))
    turned = bench.layer(pack(directory(b"f", 0o711), file(b"f/in", b"1")))
    back = bench.layer(pack(file(b"f", b"again")))
    assert names(bench.look(below, turned)) >= {b"f", b"f/in"}
    with bench.shown(below, turned, back) as tree:
        assert (tree / "f").read_bytes() == b"again"
    with bench.shown(below, turned, back, turned) as tree:
        assert (tree / "f/in").read_bytes() == b"1"


def test_whiteout_where_no_lower_layer_has_the_directory_is_not_listed(bench: Bench) -> None:
    above = bench.layer(pack(file(b"only/.wh.gone"), file(b"only/here"), file(b"a/b/.wh.c")))
    below = bench.layer(pack(*BELOW))
    own = {b"only", b"only/here", b"a", b"a/b"}
    assert names(bench.look(above)) == own
    assert names(bench.look(below, above)) >= own
    with mounted(bench.snapshotter.prepare("w", [below, above])) as tree:
        assert os.listdir(tree / "only") == ["here"]  # noqa: PTH208
        (tree / "only/gone").write_text("back")
        assert sorted(path.name for path in (tree / "only").iterdir()) == ["gone", "here"]


def test_opaque_root_hides_every_layer_below(bench: Bench) -> None:
    below = bench.layer(pack(*BELOW))
    for members in (
        (file(b".wh..wh..opq"), file(b"new", b"1")),
        (file(b"new", b"1"), file(b"./.wh..wh..opq")),
    ):
        above = bench.layer(pack(*members))
        top = bench.layer(pack(file(b"top")))
        assert names(bench.look(below, above)) == {b"new"}
        assert names(bench.look(below, above, top)) == {b"new", b"top"}


def test_128_layers_stack(bench: Bench) -> None:
    layers = [
        bench.layer(
            pack(
                file(b"f%d" % i, b"%d" % i),
                file(b"last", b"%d" % i),
                *((file(b".wh.f%d" % (i - 1)),) if i % 2 else ()),
            )
        )
        for i in range(128)
    ]
    with bench.shown(*layers) as tree:
        assert len(look(tree)) == 65
        assert (tree / "last").read_bytes() == b"127"


class TestLinksToLowerLayers:
    """Hard links to files that only lower layers have."""

    def stack(self, bench: Bench, *members: Entry | tuple[Entry, bytes]) -> list[Digest]:
        return [bench.layer(pack(*BELOW)), bench.layer(pack(*members))]

    def test_both_names_are_one_file_with_all_its_metadata(self, bench: Bench) -> None:
        layers = self.stack(bench, link(b"g", b"f"), link(b"new/h", b"./f"), link(b"i", b"s/old"))
        seen = bench.look(*layers)
        assert seen[b"g"][:8] == seen[b"f"][:8]
        assert seen[b"f"][1:3] == (0o4711, 9)
        assert [seen[name][8] for name in (b"f", b"g", b"new/h")] == [b"f"] * 3
        assert seen[b"i"][8] == seen[b"d/old"][8]

    def test_target_may_be_replaced_or_removed_after_the_link(self, bench: Bench) -> None:
        for last in (file(b"f", b"new"), file(b".wh.f")):
            with bench.shown(*self.stack(bench, link(b"g", b"f"), last)) as tree:
                assert (tree / "g").read_bytes() == b"f"
                assert not (tree / "f").exists() or (tree / "f").read_bytes() == b"new"

    def test_target_is_what_the_layers_below_show(self, bench: Bench) -> None:
        base, linking = self.stack(bench, link(b"x/g", b"f"))
        newer = bench.layer(pack(file(b"f", b"newer")))
        gone = bench.layer(pack(file(b".wh.f")))
        with bench.shown(base, newer, linking) as tree:
            assert (tree / "x/g").read_bytes() == b"newer"
        with bench.shown(base, linking, gone, newer) as tree:
            assert (tree / "x/g").read_bytes() == b"f"
            assert (tree / "f").read_bytes() == b"newer"
        with pytest.raises(Invalid, match=f"{linking.short}: x/g is a hard link to f, which"):
            bench.snapshotter.prepare("bad", [base, gone, linking], readonly=True)
        assert [snapshot.key for snapshot in bench.snapshotter.walk()] == []

    def test_directories_of_the_names_look_as_the_layer_says(self, bench: Bench) -> None:
        parent = directory(b"d", 0o1700, uid=3, mtime_ns=77, xattrs={"user.a": b"b"})
        seen = bench.look(*self.stack(bench, parent, link(b"d/g", b"d/old")))
        assert seen[b"d"][1:6] == (0o1700, 3, 0, 0, 77)
        assert seen[b"d"][7] == (("user.a", b"b"),)
        assert seen[b"d/g"][8] == seen[b"d/old"][8]

    def test_links_in_an_opaque_directory_keep_it_opaque(self, bench: Bench) -> None:
        seen = bench.look(*self.stack(bench, link(b"d/g", b"f"), file(b"d/.wh..wh..opq")))
        assert names(seen) == {b"d", b"d/g", b"f", b"s"}

    def test_writable_snapshots_have_them_too(self, bench: Bench) -> None:
        layers = self.stack(bench, link(b"g", b"f"))
        with mounted(bench.snapshotter.prepare("w", layers)) as tree:
            assert (tree / "g").read_bytes() == b"f"
            assert stat.S_IMODE((tree / "g").stat().st_mode) == 0o4711
            (tree / "g").write_bytes(b"changed")
        with mounted(bench.snapshotter.mounts("w")) as tree:
            assert (tree / "g").read_bytes() == b"changed"
        bench.snapshotter.remove("w")
        assert bench.snapshotter.prune([]) == 2
        left = bench.root / "stacks" / bench.driver
        assert {path.name for path in left.iterdir()} <= {".lock"}

    @pytest.mark.parametrize("target", [b"nothing", b"d", b"f/x", b"s/none", b"d/none/x"])
    def test_what_is_not_below_is_refused(self, target: bytes, bench: Bench) -> None:
        layers = self.stack(bench, link(b"g", target))
        with pytest.raises(Invalid, match=f"{layers[1].short}: g is a hard link"):
            bench.snapshotter.prepare("bad", layers)

    def test_what_is_not_below_is_refused_also_where_it_would_be_hidden(self, bench: Bench) -> None:
        layers = [bench.layer(pack(link(b"g", b"f"))), bench.layer(pack(file(b".wh..wh..opq")))]
        with pytest.raises(Invalid, match=f"{layers[0].short}: g is a hard link"):
            bench.snapshotter.prepare("bad", layers)
