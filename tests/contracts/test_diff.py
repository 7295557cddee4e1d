"""What changes on a real overlay comes back from its diff: apply(diff(x)) = x, on both drivers."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
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
from support.changes import NAMES, Change, changes, make_changes
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
        with self.changing(layers) as (key, tree):
            change(tree)
            changed = _look(tree, SKELETON)
        data = self.diff(key)
        assert self.diff(key) == data
        layers.append(self.layer(data))
        shown = self.shown(layers)
        assert shown == changed
        self.snapshotter.remove(key)
        return data


def _look(tree: Path, skip: frozenset[bytes] = frozenset()) -> dict[bytes, Look]:
    return {path: seen[:-1] for path, seen in look(tree, skip=skip).items()}


@pytest.fixture(params=["erofs", "overlay"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(str(request.param), tmp_path)


_HOLES: list[Change] = [
    ("hole", b"a/a", b"", 1),
    ("hole", b"c/b", b"", 6),
    ("link", b"c/b", b"b/a", 0),
]
_KINDS: list[Change] = [
    ("replace", b"a", b"x", 0),
    ("replace", b"b", b"c", 3),
    ("move", b"c", b"a", 0),
]


@pytest.mark.parametrize("driver", ["erofs", "overlay"])
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(changes, min_size=1, max_size=3))
@example([_HOLES, [("append", b"c/b", b"", 3), ("truncate", b"a/a", b"", 9)]])
@example([_KINDS, _KINDS, [("empty", b"a", b"", 4), ("move", b"a", b"b", 0)]])
def test_applied_diff_gives_the_changed_tree(
    driver: str, tmp_path: Path, rounds: list[list[Change]]
) -> None:
    place = Path(tempfile.mkdtemp(dir=tmp_path))
    store = Store(driver, place)
    layers = [store.layer(BASE)]
    for wanted in rounds:
        store.round(layers, lambda tree, wanted=wanted: make_changes(tree, wanted))
    remove_tree(place)
