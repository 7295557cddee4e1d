"""A damaged index is never mounted: it is made again, from the tar, as long as that is whole."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from corten.errors import Corrupt
from corten.oci.digest import Digest
from corten.snapshot.erofs import ErofsSnapshotter
from corten.snapshot.mounting import mounted
from corten.snapshot.stacks import chain_ids
from support.layers import Members
from support.tars import Look, directory, file, link, look, pack, symlink, write_tar

pytestmark = pytest.mark.root

PLACES = [i / 24 for i in range(24)]
"""Where bytes are flipped, as parts of the file; the first bytes and the last are among them."""


class Store:
    """Two layers whose tars lie among the store's blobs, as they do for images."""

    def __init__(self, root: Path) -> None:
        self.root = root
        blobs = root / "content/blobs/sha256"
        blobs.mkdir(parents=True)
        self.layers: list[Digest] = []
        both: tuple[Members, Members] = (
            [file(b"d/a", b"a" * 3000, xattrs={"user.x": b"1"}), symlink(b"s", b"t" * 900)],
            [directory(b"d", 0o700), file(b"d/b", b"b"), link(b"c", b"d/b"), file(b".wh.s")],
        )
        for members in both:
            diff_id, tar = write_tar(blobs / "new", pack(*members))
            tar.rename(blobs / diff_id.encoded)
            self.fresh().apply(diff_id, blobs / diff_id.encoded)
            self.layers.append(diff_id)
        self._count = 0

    def fresh(self) -> ErofsSnapshotter:
        """The driver as a new process has it: nothing was found whole yet."""
        return ErofsSnapshotter(self.root)

    def look(self) -> dict[bytes, Look]:
        """What the stack shows."""
        self._count += 1
        snapshotter = self.fresh()
        with mounted(snapshotter.prepare(f"k{self._count}", self.layers, readonly=True)) as tree:
            seen = look(tree)
        snapshotter.remove(f"k{self._count}")
        return {path: entry[:9] for path, entry in seen.items()}

    def folder(self, number: int) -> Path:
        return self.root / "layers/erofs" / self.layers[number].encoded

    def blob(self, number: int) -> Path:
        return self.root / "content/blobs/sha256" / self.layers[number].encoded

    @property
    def stack(self) -> Path:
        return self.root / "stacks/erofs" / chain_ids(self.layers)[-1].encoded


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "root")


def flip(path: Path, place: float) -> None:
    """Change one byte of a file."""
    data = bytearray(path.read_bytes())
    data[min(int(len(data) * place), len(data) - 1)] ^= 0x41
    path.write_bytes(data)


@pytest.mark.parametrize("merged", [False, True])
def test_flipped_byte_anywhere_is_mended_before_the_kernel_sees_it(
    store: Store, merged: bool
) -> None:
    wanted = store.look()
    if merged:
        store.fresh().merge(store.layers)
    index = (store.stack if merged else store.folder(0)) / "index"
    whole = index.read_bytes()
    for place in [*PLACES, 1024 / len(whole), 1152 / len(whole), 1.0]:
        flip(index, place)
        assert index.read_bytes() != whole
        assert store.look() == wanted, place
        assert index.read_bytes() == whole


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


@pytest.mark.parametrize("name", ["index", "data", "layer.json", "mnt"])
@pytest.mark.parametrize("damage", [Path.unlink, cut, empty])
def test_layer_that_lacks_something_is_mended(
    store: Store, name: str, damage: Callable[[Path], None]
) -> None:
    wanted = store.look()
    path = store.folder(0) / name
    if name == "mnt":
        path.rmdir()
    elif name == "layer.json":
        path.write_bytes(b"{" if damage is cut else b"")
    else:
        if name == "data" and damage is not Path.unlink:
            copy = path.read_bytes()  # a file of its own, so that the blob stays whole
            path.unlink()
            path.write_bytes(copy)
        damage(path)
    assert store.look() == wanted
    assert (store.folder(0) / "data").samefile(store.blob(0))
    assert store.fresh()._damage(store.layers[0]) == ""


@pytest.mark.parametrize("name", ["index", "stack.json", "mnt"])
def test_merged_index_that_lacks_something_is_made_again(store: Store, name: str) -> None:
    store.fresh().merge(store.layers)
    wanted = store.look()
    path = store.stack / name
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink()
    store.fresh().merge(store.layers)
    assert store.look() == wanted
    assert sorted(found.name for found in store.stack.iterdir()) == ["index", "mnt", "stack.json"]


def test_merged_index_over_a_shortened_tar_is_not_mounted_before_that_is_mended(
    store: Store,
) -> None:
    store.fresh().merge(store.layers)
    wanted = store.look()
    data = store.folder(0) / "data"
    copy = data.read_bytes()
    data.unlink()
    data.write_bytes(copy[:-512])
    assert store.look() == wanted
    assert data.read_bytes() == copy


@pytest.mark.parametrize("merged", [False, True])
def test_index_and_tar_damaged_together_are_corrupt(store: Store, merged: bool) -> None:
    if merged:
        store.fresh().merge(store.layers)
        flip(store.stack / "index", 0.5)
    flip(store.folder(0) / "index", 0.5)
    flip(store.blob(0), 0.2)
    with pytest.raises(
        Corrupt, match=f"index of layer {store.layers[0].short} is damaged"
    ) as caught:
        store.fresh().prepare("k", store.layers)
    assert "corten system check --repair" in caught.value.hint
    assert list(store.fresh().walk()) == []


def test_sparse_layer_is_mended_from_its_blob(store: Store, tmp_path: Path) -> None:
    from support.tars import END, header, padded, pax

    text = padded(b"1\n70000\n4\n")
    records = {
        b"GNU.sparse.major": b"1",
        b"GNU.sparse.minor": b"0",
        b"GNU.sparse.name": b"holes",
        b"GNU.sparse.realsize": b"100000",
    }
    data = pax(records) + header(b"x", size=len(text) + 4) + text + padded(b"four") + END
    diff_id, tar = write_tar(tmp_path / "sparse", data)
    tar.rename(store.root / "content/blobs/sha256" / diff_id.encoded)
    store.fresh().apply(diff_id, store.root / "content/blobs/sha256" / diff_id.encoded)
    store.layers.append(diff_id)
    wanted = store.look()
    assert b"holes" in wanted
    os.truncate(store.folder(2) / "data", 1024)
    assert store.look() == wanted


def test_several_that_find_the_damage_at_once_all_get_the_layer(store: Store) -> None:
    wanted = store.look()
    flip(store.folder(0) / "index", 0.9)
    seen: list[object] = []

    def run(number: int) -> None:
        try:
            mounts = store.fresh().prepare(f"thread-{number}", store.layers, readonly=True)
            seen.append(len(mounts))
        except BaseException as error:
            seen.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [3] * 8
    assert store.look() == wanted


def test_several_that_merge_at_once_make_one_index(store: Store) -> None:
    failures: list[BaseException] = []
    found: list[int] = []

    def run() -> None:
        try:
            store.fresh().merge(store.layers)
            found.append((store.stack / "index").stat().st_ino)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(found) == 8
    assert len(set(found)) == 1
    names = {path.name for path in (store.root / "stacks/erofs").iterdir()}
    assert names == {".lock", store.stack.name}


def test_snapshot_outlives_the_merged_index_it_was_made_over(store: Store) -> None:
    import shutil

    store.fresh().merge(store.layers)
    with mounted(store.fresh().prepare("k", store.layers)) as tree:
        (tree / "new").write_text("n")
        (tree / "d/a").unlink()
    shutil.rmtree(store.stack)
    mounts = store.fresh().mounts("k")
    assert len(mounts) == 3
    with mounted(mounts) as tree:
        assert (tree / "new").read_text() == "n"
        assert not (tree / "d/a").exists()
        assert (tree / "d/b").read_bytes() == b"b"


def test_merged_index_goes_with_its_layers(store: Store) -> None:
    store.fresh().merge(store.layers)
    store.fresh().prepare("k", store.layers)
    assert store.fresh().prune([]) == 0
    assert store.stack.is_dir()
    store.fresh().remove("k")
    assert store.fresh().prune(store.layers[:1]) == 1
    assert not store.stack.exists()
