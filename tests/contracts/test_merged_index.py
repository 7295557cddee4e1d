"""A merged index shows what the stack of its layers shows, however they hide and link each other."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corten.archive.entry import Entry
from corten.errors import Invalid, Unsupported
from corten.oci.digest import Digest
from corten.snapshot.erofs import ErofsSnapshotter
from corten.snapshot.feeding import TreeFeed
from corten.snapshot.mounting import mounted
from corten.snapshot.overlay import OverlaySnapshotter
from corten.snapshot.stacking import StackingSnapshotter
from corten.snapshot.stacks import chain_ids
from corten.system.mount import mount, unmount
from support.erofs_utils import assert_accepted
from support.layers import LAYERS, Members, many
from support.tars import Look, directory, file, link, look, pack, symlink, write_tar

pytestmark = pytest.mark.root

NS = 1_234_567_890_123_456_789


class Stack:
    """Layers, applied by the erofs driver and, for comparison, by the overlay driver."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.root = place / "root"
        self.erofs = ErofsSnapshotter(self.root)
        self.overlay = OverlaySnapshotter(self.root)
        self.layers: list[Digest] = []
        self._count = 0

    def add(self, *members: Entry | tuple[Entry, bytes]) -> Digest:
        """One more layer on top."""
        self._count += 1
        diff_id, tar = write_tar(self.place / f"{self._count}.tar", pack(*members))
        self.erofs.apply(diff_id, tar)
        self.overlay.apply(diff_id, tar)
        self.layers.append(diff_id)
        assert_accepted(self.root)
        return diff_id

    @property
    def index(self) -> Path:
        """Where the merged index of all layers lies."""
        return self.root / "stacks/erofs" / chain_ids(self.layers)[-1].encoded / "index"

    @contextmanager
    def shown(
        self, driver: StackingSnapshotter | None = None, *, readonly: bool = True
    ) -> Iterator[Path]:
        """The stack, mounted by a driver that knows nothing yet of what is whole."""
        driver = driver or ErofsSnapshotter(self.root)
        self._count += 1
        key = f"key-{self._count}"
        try:
            with mounted(driver.prepare(key, self.layers, readonly=readonly)) as tree:
                yield tree
                assert_accepted(self.root)
        finally:
            driver.remove(key)

    def look(self, driver: StackingSnapshotter | None = None) -> dict[bytes, Look]:
        """All that the stack shows."""
        with self.shown(driver) as tree:
            return look(tree)

    def merged(self) -> dict[bytes, Look]:
        """All that the merged index shows, mounted alone; link counts are those of the names."""
        self.erofs.merge(self.layers)
        assert_accepted(self.root)
        (only,) = self.erofs.prepare("merged", self.layers, readonly=True)
        assert only.source == str(self.index)
        try:
            with mounted((only,)) as tree:
                seen = look(tree)
                for path in tree.rglob("*"):
                    private = [
                        name
                        for name in os.listxattr(path, follow_symlinks=False)
                        if name.startswith("trusted.overlay")
                    ]
                    assert private == []
        finally:
            self.erofs.remove("merged")
        counted = Counter(entry[8] for entry in seen.values())
        for name, entry in seen.items():
            if entry[9]:
                assert entry[9] == counted[entry[8]], name
        return seen


def without_counts(seen: dict[bytes, Look]) -> dict[bytes, Look]:
    """overlayfs shows the link counts of the layer, though names are hidden."""
    return {path: entry[:9] for path, entry in seen.items()}


@pytest.fixture(params=["files", "loop devices"])
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    if request.param == "files":
        yield Stack(tmp_path)
        return
    mount("tmpfs", str(tmp_path), "tmpfs")
    try:
        yield Stack(tmp_path)
    finally:
        unmount(str(tmp_path), detach=True)


def assert_same(stack: Stack) -> dict[bytes, Look]:
    """Stacked by either driver and merged: the same.  Returns what is seen."""
    stacked = without_counts(stack.look())
    assert without_counts(stack.look(stack.overlay)) == stacked
    assert without_counts(stack.merged()) == stacked
    return stacked


@pytest.mark.parametrize("largest", [0, 1, 2])
def test_everything_that_layers_do_to_each_other(stack: Stack, largest: int) -> None:
    filling: list[Members] = [[], [], []]
    filling[largest] = many(b"many/inner", 200)
    stack.add(
        directory(b"shared", 0o700, uid=5, mtime_ns=NS),
        file(b"shared/replaced", b"low", mode=0o4755),
        file(b"shared/whited", b"out"),
        file(b"shared/dir/a", b"a"),
        file(b"shared/into-file/a", b"a"),
        file(b"opaque/gone/deep", b"g"),
        file(b"twins/one", b"twin"),
        link(b"twins/two", b"twins/one"),
        link(b"opaque/three", b"twins/one"),
        link(b"twins/four", b"twins/one"),
        symlink(b"long", b"t" * 4000),
        symlink(b"short", b"t"),
        Entry(b"null", "char", 0o666, major=1, minor=3),
        directory(b"many", xattrs={"user.small": b"1"}),
        *filling[0],
    )
    stack.add(
        file(b"shared/replaced", b"high", uid=70000),
        file(b"shared/.wh.whited"),
        file(b"shared/into-file", b"now a file"),
        file(b"opaque/new", b"n", xattrs={"user.x": b"y" * 400}),
        file(b"opaque/.wh..wh..opq"),
        file(b"twins/.wh.one"),
        file(b"only-here/.wh.nothing"),
        directory(b"many", 0o711, xattrs={"user.large": b"l" * 900}),
        directory(b"attributed", 0o1777, xattrs={"user.dir": b"d"}),
        *filling[1],
    )
    stack.add(
        file(b"shared/into-file", b"again a file"),
        directory(b"shared", 0o2750, gid=4_000_000_000),
        file(b"shared/dir", b"no directory"),
        file(b"pair/x", b"x"),
        link(b"shared/y", b"pair/x"),
        Entry(b"pipe", "fifo", 0o600, mtime_ns=NS),
        *filling[2],
    )
    seen = assert_same(stack)
    assert b"shared/whited" not in seen
    assert b"opaque/gone" not in seen
    assert b"only-here/nothing" not in seen
    # One of four names is whited out, one lies in what an opaque directory hides.
    assert stack.merged()[b"twins/two"][9] == 2


def test_root_has_the_metadata_of_the_topmost_layer_that_speaks_of_it(stack: Stack) -> None:
    stack.add(*many(b"d", 100))
    stack.add(directory(b"./", 0o711, uid=3, mtime_ns=NS, xattrs={"user.root": b"r" * 500}))
    stack.add(file(b"top", b"t"))
    stack.erofs.merge(stack.layers)
    for readonly in (True, False):
        with stack.shown(readonly=readonly) as tree:
            status = tree.stat()
            assert (status.st_mode & 0o7777, status.st_uid) == (0o711, 3)
            assert status.st_mtime_ns == NS
            assert sorted(path.name for path in tree.iterdir() if path.name in "top d") == [
                "d",
                "top",
            ]
    with stack.shown() as tree:
        assert os.getxattr(tree, "user.root") == b"r" * 500
        inside = {entry.name: entry.inode() for entry in os.scandir(tree)}
        assert inside["d"] == (tree / "d").stat().st_ino


def test_layers_below_an_opaque_root_are_hidden(stack: Stack) -> None:
    stack.add(*many(b"low", 100))
    stack.add(file(b".wh..wh..opq"), file(b"new", b"n"))
    stack.add(file(b"top", b"t"))
    assert set(assert_same(stack)) == {b"new", b"top"}


def test_links_to_files_of_lower_layers_are_names_of_these(stack: Stack) -> None:
    stack.add(
        file(b"real/file", b"content", mode=0o4711, xattrs={"user.a": b"1"}),
        file(b"real/gone", b"gone"),
        symlink(b"alias", b"real"),
        *many(b"many", 100),
    )
    stack.add(link(b"sub/first", b"real/file"), file(b"sub/other", b"o"))
    stack.add(
        link(b"second", b"sub/first"),
        link(b"third", b"alias/file"),
        link(b"kept", b"real/gone"),
        file(b"real/.wh.file"),
        link(b"to-symlink", b"alias"),
    )
    stack.add(file(b"real/.wh.gone"), link(b"many/more", b"second"))
    assert without_counts(stack.look(stack.overlay)) == without_counts(stack.look())
    seen = stack.merged()
    group = {path for path, entry in seen.items() if entry[8] == b"many/more"}
    assert group == {b"sub/first", b"second", b"third", b"many/more"}
    assert seen[b"second"][9] == 4
    assert (seen[b"kept"][9], seen[b"to-symlink"][9]) == (1, 2)


def test_link_to_what_no_lower_layer_has_is_refused(stack: Stack) -> None:
    stack.add(file(b"a", b"1"), file(b"d/b", b"2"))
    top = stack.add(link(b"x", b"nothing/there"))
    with pytest.raises(Invalid, match=f"layer {top.short}: x is a hard link to nothing/there"):
        stack.erofs.prepare("k", stack.layers)
    assert list(stack.erofs.walk()) == []
    stack.layers[-1:] = []
    stack.add(link(b"x", b"d"))
    with pytest.raises(Invalid, match="hard link to d"):
        stack.erofs.merge(stack.layers)


@pytest.mark.parametrize("count", [40, 128, 135])
def test_many_layers_are_one_mount(tmp_path: Path, count: int) -> None:
    stack = Stack(tmp_path)
    for i in range(count):
        stack.add(
            file(b"f%d" % i, b"%d" % i * 300), file(b"d/last", b"%d" % i), directory(b"e%d" % i)
        )
    stacked = stack.look()
    stack.erofs.merge(stack.layers)
    mounts = stack.erofs.prepare("k", stack.layers)
    # What does not fit into one index is stacked above it.
    assert len(mounts) == (2 if count <= 131 else 2 + count - 131)
    assert stack.look() == stacked


def test_indexes_too_large_to_be_read_are_not_read_for_implied_directories(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    stack.add(*many(b"many", 100))
    stack.add(*many(b"more", 100))
    stack.add(file(b"many/x"))
    limited = ErofsSnapshotter(stack.root, merge_limit=30)
    with pytest.raises(Unsupported, match="more files to be merged than 30"):
        limited.prepare("refused", stack.layers)
    limited = ErofsSnapshotter(stack.root, merge_limit=60)  # enough to see that it need not merge
    with mounted(limited.prepare("taken", stack.layers, readonly=True)) as tree:
        assert len(os.listdir(tree / "many")) == 101  # noqa: PTH208
    limited.remove("taken")


@pytest.mark.parametrize(
    "members",
    [
        [file(b"many/inner/f%d" % i, b"above") for i in range(60)],
        [file(b"many/large%d" % i, xattrs={"user.a": b"l" * 3000}) for i in range(9)],
    ],
    ids=["names", "attributes"],
)
def test_more_than_the_limit_is_stacked_and_costs_no_run(tmp_path: Path, members: Members) -> None:
    stack = Stack(tmp_path)
    stack.add(*many(b"many/inner", 60))
    stack.add(*members)
    limited = ErofsSnapshotter(stack.root, merge_limit=100)
    limited.merge(stack.layers)
    assert not stack.index.exists()
    shown = without_counts(stack.look(limited))
    assert not stack.index.exists()
    ErofsSnapshotter(stack.root, merge_limit=1000).merge(stack.layers)
    assert stack.index.exists()
    assert without_counts(stack.merged()) == shown


def test_more_than_the_limit_is_refused_where_nothing_but_merging_shows_it(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    stack.add(*many(b"many", 60))
    stack.add(link(b"many/l", b"many/f7"), *many(b"many", 59))
    limited = ErofsSnapshotter(stack.root, merge_limit=100)
    with pytest.raises(Unsupported, match="more files to be merged than 100") as caught:
        limited.prepare("refused", stack.layers)
    assert "CORTEN_MERGE_LIMIT" in (caught.value.hint or "")
    assert [snapshot.key for snapshot in limited.walk()] == []
    assert stack.look()[b"many/l"][6] == stack.look(stack.overlay)[b"many/l"][6]


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(LAYERS, st.integers(0, 5))
def test_generated_stacks_merged_and_stacked_are_the_same(
    layers: list[list[Entry | tuple[Entry, bytes]]], largest: int
) -> None:
    with tempfile.TemporaryDirectory(prefix="corten-merged-") as place:
        stack = Stack(Path(place))
        for number, members in enumerate(layers):
            more = many(b"dd/a", 60) if number == largest else []
            taken: list[Entry | tuple[Entry, bytes]] = [*more]
            for member in members:  # what a layer cannot say is left out
                with suppress(Invalid):
                    read(pack(*taken, member))
                    taken.append(member)
            stack.add(*taken)
            try:
                stack.overlay.complete(stack.layers)
            except Invalid:  # a link to what is nowhere
                with pytest.raises(Invalid):
                    stack.erofs.prepare("refused", stack.layers)
                stack.layers.pop()
        if len(set(stack.layers)) < 2:
            return
        linking = any(stack.erofs._holdings.layer_record(each).links for each in stack.layers)
        shown = without_counts(stack.look(stack.overlay))
        if not linking:
            assert without_counts(stack.look()) == shown
        assert without_counts(stack.merged()) == shown
        with stack.shown(readonly=False) as tree:  # under a writable directory
            assert set(look(tree)) >= set(shown)


def read(data: bytes) -> None:
    """Take a layer as the drivers do.  Raises: Invalid."""
    with TreeFeed(lambda *_: None) as feed:
        feed.feed(data)
        feed.end()


def test_data_of_every_layer_is_read_through_the_merged_index(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    contents: dict[bytes, bytes] = {}
    for number in range(5):
        data = {b"d%d/f%d" % (i % 3, number * 20 + i): os.urandom(1 + i * 997) for i in range(20)}
        contents |= data
        stack.add(*(file(name, content) for name, content in data.items()))
    stack.erofs.merge(stack.layers)
    with stack.shown() as tree:
        for name, content in contents.items():
            found = (tree / os.fsdecode(name)).read_bytes()
            assert hashlib.sha256(found).digest() == hashlib.sha256(content).digest()
