"""What changes on a real overlay comes back from its diff: apply(diff(x)) = x, on both drivers."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import shutil
import socket
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corten.archive.entry import Entry
from corten.oci.digest import Digest
from corten.snapshot.diff import write_diff
from corten.snapshot.mounting import mounted
from corten.snapshot.probing import choose
from corten.snapshot.protocols import Snapshotter
from corten.snapshot.removal import remove_tree
from corten.snapshot.stacks import RootMetadata
from corten.system.mount import mount, unmount
from support.changes import Change, changes, make_changes
from support.erofs_utils import accepted
from support.tars import (
    Look,
    directory,
    entries,
    file,
    link,
    look,
    pack,
    scan,
    symlink,
    write_tar,
)

pytestmark = pytest.mark.root

SKELETON = frozenset([b"dev", b"etc", b"proc", b"sys"])
NS = 1_234_567_890_123_456_789

BASE = pack(
    directory(b"a", 0o2750, mtime_ns=NS, xattrs={"user.one": b"1"}),
    file(b"a/a", b"first" * 1000, mode=0o4711, uid=1000, gid=70_000, mtime_ns=NS + 1),
    link(b"a/b", b"a/a"),
    directory(b"a/c", 0o700, uid=5, mtime_ns=-NS),
    file(b"a/c/a", b"deep", mtime_ns=NS + 2, xattrs={"user.a=b%3D": b"x", "trusted.two": b""}),
    link(b"a/c/b", b"a/a"),
    symlink(b"a/c/c", b"../a"),
    directory(b"b", 0o1777),
    file(b"b/new\nline", b"", mode=0),
    file(b"b/\xff\xfe", b"bytes", xattrs={"security.capability": b"\1\0\0\2" + bytes(16)}),
    Entry(b"b/b", "fifo", 0o600),
    Entry(b"b/c", "block", 0o660, major=8, minor=1, mtime_ns=NS),
    directory(b"c"),
    directory(b"c/a"),
    directory(b"c/a/a", mtime_ns=NS),
    file(b"c/a/a/inner", b"in"),
    file(b"new\nline", b"top"),
)


class Store:
    """A driver in a directory of its own."""

    def __init__(self, driver: str, place: Path) -> None:
        self.place = place
        self.snapshotter: Snapshotter = choose(place / "root", driver)
        self._count = 0

    def layer(self, data: bytes) -> Digest:
        self._count += 1
        diff_id, tar = write_tar(self.place / f"{self._count}.tar", data)
        self.snapshotter.apply(diff_id, tar)
        return diff_id

    def shown(self, layers: Sequence[Digest]) -> dict[bytes, Look]:
        """The tree of `layers` mounted read-only, without link counts (overlayfs has old ones)."""
        self._count += 1
        key = f"shown-{self._count}"
        with mounted(self.snapshotter.prepare(key, layers, readonly=True)) as tree:
            seen = _look(tree)
        self.snapshotter.remove(key)
        return seen

    @contextmanager
    def changing(self, layers: Sequence[Digest]) -> Iterator[tuple[str, Path]]:
        """A writable snapshot: its key and where it is mounted."""
        self._count += 1
        key = f"changing-{self._count}"
        with mounted(self.snapshotter.prepare(key, layers)) as tree:
            yield key, tree

    def diff(self, key: str) -> bytes:
        out = bytearray()
        self.snapshotter.diff(key, out.extend)
        return bytes(out)

    def round(self, layers: list[Digest], change: Callable[[Path], object]) -> bytes:
        """Change the tree of `layers`, take the diff, apply it: the tree must be the changed one."""
        before = self.shown(layers)
        with self.changing(layers) as (key, tree):
            change(tree)
            changed = _look(tree, SKELETON)
        upper = self.place / "root/snapshots" / key / "upper"
        data = self.diff(key)
        assert self.diff(key) == data
        layers.append(self.layer(data))
        assert self.shown(layers) == _grouped(changed, before, upper)
        self.snapshotter.remove(key)
        return data


def _grouped(
    changed: dict[bytes, Look], before: dict[bytes, Look], upper: Path
) -> dict[bytes, Look]:
    """`changed` with link groups as they are on disk.

    overlayfs shows a copied-up file under the inode number that it had below, so
    its new names seem to be other files.
    """
    first: dict[object, bytes] = {}
    grouped = {}
    for path, seen in changed.items():
        place = os.fsencode(upper) + b"/" + path
        group: object = os.lstat(place).st_ino if os.path.lexists(place) else before[path][8]
        same = path if stat.S_ISDIR(int(str(seen[0]))) else first.setdefault(group, path)
        grouped[path] = (*seen[:8], same)
    return grouped


def _look(tree: Path, skip: frozenset[bytes] = frozenset()) -> dict[bytes, Look]:
    return {path: seen[:-1] for path, seen in look(tree, skip=skip).items()}


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An ext4 in memory: what the tests sync goes to no disk that others write to."""
    memory, place = tmp_path_factory.mktemp("memory"), tmp_path_factory.mktemp("disk")
    mount("tmpfs", str(memory), "tmpfs")
    try:
        image = memory / "ext4"
        with image.open("wb") as opened:
            opened.truncate(3 * 2**30)
        subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=1", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, place], check=True)
        try:
            yield place
        finally:
            unmount(str(place), detach=True)
    finally:
        unmount(str(memory), detach=True)


@contextmanager
def _room(disk: Path) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(dir=disk))
    try:
        with accepted(path / "root", path / "erofs/root"):
            yield path
    finally:
        remove_tree(path)


@pytest.fixture
def place(disk: Path) -> Iterator[Path]:
    with _room(disk) as path:
        yield path


@pytest.fixture(params=["erofs", "overlay"])
def store(request: pytest.FixtureRequest, place: Path) -> Store:
    return Store(str(request.param), place)


@pytest.mark.parametrize("driver", ["erofs", "overlay"])
@settings(max_examples=30, deadline=None)
@given(st.lists(changes, min_size=1, max_size=3))
def test_applied_diff_gives_the_changed_tree(
    driver: str, disk: Path, rounds: list[list[Change]]
) -> None:
    with _room(disk) as place:
        store = Store(driver, place)
        layers = [store.layer(BASE)]
        for wanted in rounds:
            store.round(layers, partial(make_changes, wanted=wanted, skip=SKELETON))


def _dated(upper: Path) -> None:
    """Times that follow from the names, so that they are the same wherever changes are made."""
    for place, directories, files in os.walk(os.fsencode(upper), topdown=False):
        for name in [*files, *directories]:
            full = place + b"/" + name
            status = os.lstat(full)
            if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
                continue
            when = int.from_bytes(
                hashlib.sha256(full[len(os.fsencode(upper)) :]).digest()[:4], "big"
            )
            if not stat.S_ISDIR(status.st_mode) and status.st_nlink > 1:
                when = 7  # of several names any may come last
            os.utime(full, ns=(0, when * 10**9 + when), follow_symlinks=False)


@settings(max_examples=20, deadline=None)
@given(changes)
def test_both_drivers_give_the_same_bytes(disk: Path, wanted: list[Change]) -> None:
    with _room(disk) as place:
        found = []
        for driver in ("erofs", "overlay"):
            (place / driver).mkdir()
            store = Store(driver, place / driver)
            with store.changing([store.layer(BASE)]) as (key, tree):
                make_changes(tree, wanted, SKELETON)
            _dated(place / driver / "root/snapshots" / key / "upper")
            found.append(store.diff(key))
    assert found[0] == found[1]


def _grow(root: Path, order: random.Random) -> None:
    """The same tree, its files made in another order."""
    names = [f"{d}/{f}" for d in range(12) for f in range(12)]
    order.shuffle(names)
    for name in names:
        path = root / name
        path.parent.mkdir(exist_ok=True)
        for lost in range(order.randrange(3)):  # other inode numbers, other places in directories
            (path.parent / f"lost-{lost}").touch()
        path.write_bytes(name.encode() * 300)
        os.setxattr(path, *(("user.a", b"1") if order.random() < 0.5 else ("user.b", b"2")))
        os.setxattr(path, "user.a", b"1")
        os.setxattr(path, "user.b", b"2")
        for lost_path in path.parent.glob("lost-*"):
            lost_path.unlink()
    os.link(root / "3/3", root / "0/link")
    with (root / "holes").open("wb") as opened:
        spots = [5, 40_000_000, 99_999_999]
        order.shuffle(spots)
        for spot in spots:
            opened.seek(spot)
            opened.write(b"data")
        if order.random() < 0.5:  # zeros that are on the disk, not a hole
            opened.seek(60_000_000)
            opened.write(bytes(2_000_000))
    _dated(root)


def test_other_order_other_file_system_same_bytes(place: Path) -> None:
    tmpfs = place / "tmpfs"
    tmpfs.mkdir()
    mount("tmpfs", str(tmpfs), "tmpfs")
    try:
        found = set()
        for seed, root in enumerate([place / "1", place / "2", tmpfs / "3", tmpfs / "4"]):
            root.mkdir(mode=0o755)
            _grow(root, random.Random(seed))
            out = bytearray()
            write_diff(root, out.extend, root=RootMetadata(0o755, 0, 0, 0))
            found.add(bytes(out))
        assert len(found) == 1
        assert len(found.pop()) < 1_000_000
    finally:
        unmount(str(tmpfs), detach=True)


def _names(data: bytes) -> list[bytes]:
    return [entry.name for entry in entries(data)]


def test_directory_made_anew_hides_the_old_one(store: Store) -> None:
    def change(tree: Path) -> None:
        shutil.rmtree(tree / "a")
        (tree / "a").mkdir(0o711)
        (tree / "a/new").write_text("n")

    layers = [store.layer(BASE)]
    assert _names(store.round(layers, change)) == [b"a/", b"a/.wh..wh..opq", b"a/new"]
    assert set(store.shown(layers)) & {b"a/a", b"a/c"} == set()


def test_directory_of_a_lower_layer_is_moved_as_mv_does(store: Store) -> None:
    def change(tree: Path) -> None:
        with pytest.raises(OSError, match="cross-device") as caught:
            (tree / "c").rename(tree / "moved")
        assert caught.value.errno == errno.EXDEV

    layers = [store.layer(BASE)]
    store.round(layers, lambda tree: shutil.move(tree / "c", tree / "moved"))
    assert {b"moved/a/a/inner", b"moved"} <= set(store.shown(layers))
    assert b"c" not in store.shown(layers)
    with store.changing([layers[0]]) as (_, tree):
        change(tree)


def test_metadata_alone_is_a_change(store: Store) -> None:
    def change(tree: Path) -> None:
        (tree / "a/a").chmod(0o600)
        os.chown(tree / "a/c", 4_000_000_000, 9)
        os.utime(tree / "c/a/a", ns=(0, NS + 7))
        os.utime(tree / "a/c/c", ns=(0, -5), follow_symlinks=False)
        os.removexattr(tree / "a", "user.one")

    layers = [store.layer(BASE)]
    data = store.round(layers, change)
    changed = [b"a/", b"a/a", b"a/c/", b"a/c/c", b"c/", b"c/a/", b"c/a/a/"]
    assert _names(data) == changed
    assert store.shown(layers)[b"a"][7] == ()


def test_links_to_lower_files_are_groups_in_the_layer(store: Store) -> None:
    def change(tree: Path) -> None:
        os.link(tree / "c/a/a/inner", tree / "b/linked")
        os.link(tree / "b/linked", tree / "z")

    layers = [store.layer(BASE)]
    data = store.round(layers, change)
    links = {entry.name: entry.linkname for entry in entries(data) if entry.kind == "link"}
    assert links == {b"c/a/a/inner": b"b/linked", b"z": b"b/linked"}
    assert len({store.shown(layers)[name][8] for name in (b"b/linked", b"z", b"c/a/a/inner")}) == 1


def test_socket_in_the_place_of_a_lower_file_deletes_it(store: Store) -> None:
    def change(tree: Path) -> None:
        for place in (tree / "c/a/a/inner", tree / "fresh/socket"):
            place.parent.mkdir(exist_ok=True)
            place.unlink(missing_ok=True)
            with socket.socket(socket.AF_UNIX) as listening:
                here = os.open(place.parent, os.O_RDONLY)
                listening.bind(f"/proc/self/fd/{here}/{place.name}")
                os.close(here)

    layers = [store.layer(BASE)]
    with store.changing(layers) as (key, tree):
        change(tree)
    data = store.diff(key)
    assert _names(data)[-2:] == [b"c/a/a/.wh.inner", b"fresh/"]
    shown = store.shown([*layers, store.layer(data)])
    assert b"c/a/a" in shown
    assert not {b"c/a/a/inner", b"fresh/socket", b"fresh/.wh.socket"} & set(shown)


def test_large_hole_of_a_build_step_costs_no_room(store: Store) -> None:
    def change(tree: Path) -> None:
        with (tree / "lastlog").open("wb") as opened:
            opened.seek(292 * 10**6)
            opened.write(b"login" * 1000)
        os.link(tree / "lastlog", tree / "again")

    layers = [store.layer(BASE)]
    data = store.round(layers, change)
    assert len(data) < 20_000
    assert [member[0].sparse is None for member in scan(data)] == [False, True]


def test_nothing_of_overlayfs_is_in_the_tar(store: Store) -> None:
    layers = [store.layer(BASE)]
    data = store.round(layers, lambda tree: (tree / "a/c/a").write_text("copied up"))
    assert b"overlay" not in data
    with store.changing(layers) as (key, tree):
        make_changes(tree, [("chmod", which, 0, 0, 1) for which in range(12)], SKELETON)
    assert b"overlay" not in store.diff(key)
