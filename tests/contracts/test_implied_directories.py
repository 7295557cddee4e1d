"""Directories that no member of a layer names look as the layers below say."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corten.archive.entry import Entry
from corten.errors import Unsupported
from corten.snapshot.erofs_layout import SLOTS
from corten.snapshot.mounting import mounted
from corten.snapshot.removal import remove_tree
from support.erofs_utils import accepted
from support.layers import Members, many
from support.snapshots import Bench, gnu_tar
from support.tars import Look, directory, file, link, look, pack, symlink

pytestmark = pytest.mark.root

NS = 1_234_567_890_123_456_789
TMP = directory(b"tmp", 0o1777, uid=7, gid=70_000, mtime_ns=NS, xattrs={"user.t": b"1"})
LOOK = (0o1777, 7, 70_000, 0, NS)
PLAIN = (0o755, 0, 0, 0, 0)


def show(bench: Bench, *layers: Members) -> dict[bytes, Look]:
    return bench.look(*[bench.layer(pack(*members)) for members in layers])


def merged_alike(bench: Bench, *layers: Members) -> dict[bytes, Look]:
    """What is shown, the same before and after the image's first run."""
    applied = [bench.layer(pack(*members)) for members in layers]
    seen = bench.look(*applied)
    if bench.driver == "erofs":
        bench.snapshotter.merge(applied)  # type: ignore[attr-defined]
        again = bench.look(*applied)
        assert {name: each[:9] for name, each in again.items()} == {
            name: each[:9] for name, each in seen.items()
        }
    return seen


def test_a_layer_with_a_file_in_tmp_leaves_tmp_as_it_is(bench: Bench) -> None:
    seen = merged_alike(bench, [TMP, file(b"tmp/low")], [file(b"tmp/x", b"x")])
    assert seen[b"tmp"][1:6] == LOOK
    assert seen[b"tmp"][7] == (("user.t", b"1"),)
    assert {b"tmp/low", b"tmp/x"} < set(seen)


def test_also_in_a_writable_snapshot_and_where_the_change_is_written_out(bench: Bench) -> None:
    layers = [bench.layer(pack(*each)) for each in ([TMP], [file(b"tmp/x")], [file(b"tmp/y")])]
    with mounted(bench.snapshotter.prepare("w", layers)) as tree:
        assert stat.S_IMODE((tree / "tmp").stat().st_mode) == 0o1777
        (tree / "tmp/z").write_bytes(b"z")
    top = bench.layer(bench.diff("w"))
    bench.snapshotter.remove("w")
    with bench.shown(*layers, top) as tree:
        status = (tree / "tmp").stat()
        assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == LOOK[:3]
        assert os.getxattr(tree / "tmp", "user.t") == b"1"
        assert sorted(os.listdir(tree / "tmp")) == ["x", "y", "z"]  # noqa: PTH208


def test_topmost_layer_that_names_it_counts(bench: Bench) -> None:
    other = directory(b"tmp", 0o700, uid=3, mtime_ns=5)
    seen = merged_alike(bench, [TMP], [file(b"tmp/a")], [other], [file(b"tmp/b")], [file(b"c")])
    assert seen[b"tmp"][1:6] == (0o700, 3, 0, 0, 5)
    assert seen[b"tmp"][7] == ()


def test_a_later_member_that_names_it_counts(bench: Bench) -> None:
    other = directory(b"tmp", 0o711, mtime_ns=5)
    seen = merged_alike(bench, [TMP], [file(b"tmp/a"), other, file(b"tmp/b")])
    assert seen[b"tmp"][1:6] == (0o711, 0, 0, 0, 5)


def test_deep_ones_each_look_as_below(bench: Bench) -> None:
    below = [
        directory(b"a", 0o700), directory(b"a/b", 0o711, mtime_ns=3), directory(b"a/b/c", 0o1777),
    ]  # fmt: skip
    seen = merged_alike(bench, below, [file(b"a/b/c/d/e/f"), directory(b"a/b", 0o750)])
    modes = {path: each[1] for path, each in seen.items()}
    assert modes == {
        b"a": 0o700, b"a/b": 0o750, b"a/b/c": 0o1777, b"a/b/c/d": 0o755, b"a/b/c/d/e": 0o755,
        b"a/b/c/d/e/f": 0o644,
    }  # fmt: skip


def test_links_and_whiteouts_imply_their_directories_too(bench: Bench) -> None:
    below: Members = [
        TMP,
        file(b"tmp/f", b"f"),
        file(b"tmp/gone"),
        directory(b"d", 0o1700, mtime_ns=9),
    ]
    seen = merged_alike(bench, below, [file(b"tmp/.wh.gone"), link(b"d/g", b"tmp/f")])
    assert (seen[b"tmp"][1:6], seen[b"d"][1:6]) == (LOOK, (0o1700, 0, 0, 0, 9))
    assert set(seen) == {b"tmp", b"tmp/f", b"d", b"d/g"}
    assert seen[b"d/g"][8] == seen[b"tmp/f"][8]


def test_what_is_hidden_says_nothing(bench: Bench) -> None:
    for hiding in (
        [file(b".wh.tmp"), file(b"tmp/x")],
        [file(b"tmp/x"), file(b".wh.tmp")],
        [file(b".wh..wh..opq"), file(b"tmp/x")],
    ):
        assert merged_alike(bench, [TMP, file(b"tmp/low")], hiding)[b"tmp"][1:6] == PLAIN
    for over in (file(b"tmp"), symlink(b"tmp", b"."), file(b".wh.tmp")):
        assert merged_alike(bench, [TMP], [over], [file(b"tmp/x")])[b"tmp"][1:6] == PLAIN


@pytest.mark.parametrize("largest", [0, 1, 2])
def test_opaque_mark_hides_what_it_holds_not_what_it_looks_like(bench: Bench, largest: int) -> None:
    filling: list[Members] = [[], [], []]
    filling[largest] = many(b"many", 30)
    seen = merged_alike(
        bench,
        [TMP, directory(b"tmp/in", 0o700), file(b"tmp/in/low"), *filling[0]],
        [file(b"tmp/.wh..wh..opq"), file(b"tmp/in/x"), *filling[1]],
        [file(b"tmp/in/y"), *filling[2]],
    )
    assert seen[b"tmp"][1:6] == LOOK
    assert seen[b"tmp/in"][1:6] == PLAIN
    assert {path for path in seen if path.startswith(b"tmp/in/")} == {b"tmp/in/x", b"tmp/in/y"}


def test_no_stack_is_made_where_nothing_depends_on_what_is_below(bench: Bench) -> None:
    stacks = bench.root / "stacks" / bench.driver
    plain: Members = [file(b"d/x"), directory(b"e", 0o700)]
    show(bench, plain, [file(b"d/y"), file(b"n/ew/z")], [directory(b"e"), file(b"e/x")])
    assert not stacks.exists() or [path.name for path in stacks.iterdir()] == [".lock"]
    show(bench, plain, [file(b"e/y")])
    assert len([path for path in stacks.iterdir() if path.name != ".lock"]) == 1


def test_more_layers_than_an_index_can_have(bench: Bench) -> None:
    layers = [bench.layer(pack(TMP))]
    layers += [bench.layer(pack(file(b"f%d" % number, b"%d" % number))) for number in range(SLOTS)]
    assert bench.look(*layers)[b"tmp"][1:6] == LOOK
    layers.append(bench.layer(pack(file(b"tmp/x", b"x"))))
    if bench.driver == "overlay":
        assert bench.look(*layers)[b"tmp"][1:6] == LOOK
        return
    with pytest.raises(Unsupported, match="more than one index can have") as raised:
        bench.snapshotter.prepare("many", layers)
    assert raised.value.hint == "the overlay driver can: --storage-driver overlay"
    assert list(bench.snapshotter.walk()) == []


NAMES = st.sampled_from([b"a", b"b", b"c"])


@st.composite
def stacks(draw: st.DrawFn) -> list[list[Entry | tuple[Entry, bytes]]]:
    """Layers that never change what kind of file a name is, nor hide any."""
    folders = [b"a", b"b", b"a/a", b"a/b", b"a/b/c"]
    layers: list[list[Entry | tuple[Entry, bytes]]] = []
    for number in range(draw(st.integers(2, 4))):
        members: list[Entry | tuple[Entry, bytes]] = []
        for _ in range(draw(st.integers(1, 6))):
            folder = draw(st.sampled_from(folders))
            # No set-group-id: the kernel gives that to what tar makes in such a directory.
            mode = draw(st.sampled_from([0o755, 0o700, 0o1777, 0o4750]))
            uid = draw(st.sampled_from([0, 1000, 70_000]))
            if draw(st.booleans()):
                # GNU tar keeps attributes that a later layer does not speak of.
                xattrs = {"user.d": b"%d" % number}
                members.append(directory(folder, mode, uid=uid, mtime_ns=NS, xattrs=xattrs))
            else:
                name = b"f" + draw(NAMES)
                members.append(file(folder + b"/" + name, b"%d" % number, mode=mode, uid=uid))
        layers.append(members)
    return layers


def untimed(seen: dict[bytes, Look]) -> dict[bytes, Sequence[object]]:
    """Directories without times: GNU tar changes those of directories that it goes into."""
    found: dict[bytes, Sequence[object]] = {}
    for path, each in seen.items():
        is_directory = each[0] == stat.S_IFDIR
        found[path] = (*each[:5], 0 if is_directory else each[5], *each[6:])
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(stack=stacks())
def test_generated_layers_are_what_gnu_tar_extracts_one_after_the_other(
    stack: list[list[Entry | tuple[Entry, bytes]]],
) -> None:
    place = Path(tempfile.mkdtemp(prefix="corten-implied-"))
    try:
        tree = place / "tree"
        for members in stack:
            gnu_tar(pack(*members), tree)
        wanted = untimed(look(tree))
        for driver in ("erofs", "overlay"):
            bench = Bench(driver, place / driver)
            with accepted(bench.root):
                assert untimed(merged_alike(bench, *stack)) == wanted
    finally:
        remove_tree(place)
