"""What drivers' layers, snapshots and leftovers look like to who verifies them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from corten.archive.entry import Entry
from corten.archive.tar_writer import TarWriter
from corten.oci.digest import Digest
from corten.snapshot.checking import checks
from corten.snapshot.comparing import tree_difference
from corten.snapshot.drafts import own_draft
from corten.snapshot.erofs import ErofsSnapshotter
from corten.snapshot.extraction import extract
from corten.snapshot.feeding import read_tree
from corten.snapshot.remains import held_snapshots, is_free, leftovers, write_snapshot_record
from corten.snapshot.stacks import StackHoldings, StackRecord
from corten.system.mountinfo import mount_points
from support.tars import file, link, pack, write_tar


def mine(entry: Entry) -> Entry:
    """`entry` as one of this user's, who may be anyone."""
    return msgspec.structs.replace(entry, uid=os.getuid(), gid=os.getgid())


@pytest.fixture
def layer(tmp_path: Path) -> tuple[Digest, Path]:
    """A layer of this user's files, so that they can be extracted without root."""
    entry, content = file(b"d/file", b"content" * 300, mode=0o640, mtime_ns=7)
    data = pack(
        mine(Entry(b"", "directory", 0o755, mtime_ns=3)),
        mine(Entry(b"d", "directory", 0o750, mtime_ns=5)),
        (mine(entry), content),
        link(b"d/again", b"d/file"),
        mine(Entry(b"s", "symlink", 0o777, linkname=b"d/file", mtime_ns=9)),
        mine(Entry(b"p", "fifo", 0o600)),
    )
    return write_tar(tmp_path / "layer.tar", data)


@pytest.fixture
def tree(layer: tuple[Digest, Path], tmp_path: Path) -> Path:
    target = tmp_path / "tree"
    target.mkdir()
    extract(read_tree(layer[1]), layer[1], target)
    return target


def test_an_extracted_tree_is_what_its_tar_says(tree: Path, layer: tuple[Digest, Path]) -> None:
    assert difference(tree, layer[1]) == ""


def difference(tree: Path, tar: Path) -> str:
    return tree_difference(tree, tar, read_tree(tar))


def keeping_time(path: Path, change: Callable[[], object]) -> None:
    before = path.stat().st_mtime_ns
    change()
    os.utime(path, ns=(before, before))


def replaced(path: Path, data: bytes) -> None:
    keeping_time(path, lambda: path.write_bytes(data))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: (t / "d" / "file").chmod(0o600), "has another mode"),
        (lambda t: os.utime(t / "d", ns=(1, 1)), "d has another time"),
        (lambda t: replaced(t / "d" / "file", b"CONTENT" * 300), "has other bytes"),
        (lambda t: replaced(t / "d" / "file", b"content"), "has another size"),
        (lambda t: keeping_time(t, (t / "extra").touch), "extra in the root directory is not"),
        (lambda t: keeping_time(t, (t / "p").unlink), "it lacks p"),
    ],
)
def test_what_differs_is_named(
    tree: Path, layer: tuple[Digest, Path], change: Callable[[Path], object], words: str
) -> None:
    change(tree)
    assert words in difference(tree, layer[1])


def test_another_target_type_or_link_is_named(tree: Path, layer: tuple[Digest, Path]) -> None:
    def relinked() -> None:
        (tree / "s").unlink()
        (tree / "s").symlink_to("elsewhere")
        os.utime(tree / "s", ns=(9, 9), follow_symlinks=False)

    keeping_time(tree, relinked)
    assert difference(tree, layer[1]) == "s has another target"

    def retyped() -> None:
        (tree / "s").unlink()
        (tree / "s").touch()

    keeping_time(tree, retyped)
    assert difference(tree, layer[1]) == "s has another type"


def test_a_copy_in_place_of_a_hard_link_is_named(tree: Path, layer: tuple[Digest, Path]) -> None:
    def copied() -> None:
        data = (tree / "d" / "again").read_bytes()
        (tree / "d" / "again").unlink()
        (tree / "d" / "again").write_bytes(data)
        (tree / "d" / "again").chmod(0o640)
        os.utime(tree / "d" / "again", ns=(7, 7))

    keeping_time(tree / "d", copied)
    assert "is not the hard link that it should be" in difference(tree, layer[1])


def test_a_root_without_layers_has_nothing_to_check(tmp_path: Path) -> None:
    assert checks(tmp_path) == []
    assert list(held_snapshots(tmp_path)) == []
    assert list(leftovers(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


def test_a_driver_lists_its_layers_and_lets_go_of_them(
    layer: tuple[Digest, Path], tmp_path: Path
) -> None:
    digest, tar = layer
    ErofsSnapshotter(tmp_path).apply(digest, tar)
    (driver,) = checks(tmp_path)
    assert list(driver.applied()) == [digest]
    assert driver.problem(digest, tar) == driver.difference(digest, tar, deep=True) == ""
    assert driver.problem(digest, None) == ""
    assert driver.difference(digest, tmp_path / "gone") == ""
    assert driver.difference(Digest.of(b"another"), tar) == ""
    assert driver.problem(Digest.of(b"another"), None) == ""
    driver.discard(digest)
    assert list(driver.applied()) == []
    assert list(leftovers(tmp_path)) == []


def test_stacks_of_a_layer_go_before_it_goes(layer: tuple[Digest, Path], tmp_path: Path) -> None:
    # Gone, it may be applied anew at once, and a stack made from the old one would outlive it.
    digest, tar = layer
    ErofsSnapshotter(tmp_path).apply(digest, tar)
    stacks = StackHoldings(tmp_path, "erofs")
    with stacks.making(), stacks.draft() as draft:
        stacks.publish(draft, digest, StackRecord((str.__str__(digest),)))
    (driver,) = checks(tmp_path)
    with pytest.raises(FileNotFoundError):
        driver.discard(digest, tmp_path / "no such directory" / "aside")
    assert list(driver.applied()) == [digest]
    assert stacks.record(digest) is None


def test_data_of_a_layer_with_sparse_files_is_compared_up_to_the_tars_end(tmp_path: Path) -> None:
    out = bytearray()
    writer = TarWriter(out.extend)
    with (tmp_path / "holes").open("w+b") as holes:
        holes.seek(4096)
        holes.write(b"bytes")
        holes.truncate(8192)
        holes.flush()
        writer.add(Entry(b"holes", size=8192, sparse=((4096, 5),)), holes.fileno())
    writer.finish()
    digest, tar = write_tar(tmp_path / "layer.tar", bytes(out))
    ErofsSnapshotter(tmp_path).apply(digest, tar)
    (driver,) = checks(tmp_path)
    assert driver.problem(digest, tar) == driver.difference(digest, tar, deep=True) == ""
    assert driver.problem(digest, None) == ""
    path = tmp_path / "layers/erofs" / digest.encoded / "data"
    whole = path.read_bytes()
    start = tar.stat().st_size
    assert whole[start + 4096 : start + 4101] == b"bytes"
    for at in (start + 4097, start + 5, start + 8191):  # what is stored, and in holes
        path.write_bytes(whole[:at] + b"X" + whole[at + 1 :])
        assert driver.problem(digest, tar) == ""
        assert driver.difference(digest, tar, deep=True) == "its sparse files are not the tar's"
    path.write_bytes(whole)
    index = path.with_name("index")
    made = index.read_bytes()
    index.write_bytes(made[:-1] + b"X")
    assert driver.difference(digest, tar) == ""
    assert driver.difference(digest, tar, deep=True) == "its index is not the tar's"
    index.write_bytes(made)
    with path.open("r+b") as data:
        data.write(b"X")
    assert driver.problem(digest, tar) == "its data is not the tar's"


@pytest.mark.parametrize("field", ["whiteouts", "root", "links", "opaque", "implied"])
def test_a_record_that_says_otherwise_than_the_tar_is_named(tmp_path: Path, field: str) -> None:
    digest, tar = write_tar(
        tmp_path / "layer.tar",
        pack(
            Entry(b"./", "directory", 0o711),
            file(b".wh..wh..opq"),
            file(b"d/.wh.gone"),
            file(b"d/f"),
        ),
    )
    linking, other = write_tar(tmp_path / "other.tar", pack(link(b"d/l", b"below")))
    snapshotter = ErofsSnapshotter(tmp_path)
    snapshotter.apply(digest, tar)
    snapshotter.apply(linking, other)
    (driver,) = checks(tmp_path)
    for layer, path in ((digest, tar), (linking, other)):
        assert driver.difference(layer, path) == ""
        record = tmp_path / "layers/erofs" / layer.encoded / "layer.json"
        document = msgspec.json.decode(record.read_bytes())
        if document.pop(field, None):
            record.write_bytes(msgspec.json.encode(document))
            said = driver.difference(layer, path)
            assert said == f"its record is not the tar's ({field})"
            return
    raise AssertionError(f"no layer here has {field}")


def test_a_record_of_another_driver_is_a_problem(
    layer: tuple[Digest, Path], tmp_path: Path
) -> None:
    digest, tar = layer
    ErofsSnapshotter(tmp_path).apply(digest, tar)
    record = tmp_path / "layers" / "erofs" / digest.encoded / "layer.json"
    record.write_bytes(record.read_bytes().replace(b"erofs", b"btrfs"))
    (driver,) = checks(tmp_path)
    assert driver.problem(digest, tar) == "its record is one of the btrfs driver"


def test_snapshots_are_listed_whole_or_not(layer: tuple[Digest, Path], tmp_path: Path) -> None:
    digest, tar = layer
    snapshotter = ErofsSnapshotter(tmp_path)
    snapshotter.apply(digest, tar)
    snapshotter.prepare("whole", [digest])
    snapshotter.prepare("damaged", [digest])
    (tmp_path / "snapshots" / "damaged" / "snapshot.json").write_text("[]")
    (tmp_path / "snapshots" / "empty").mkdir()
    found = {held.key: held for held in held_snapshots(tmp_path)}
    assert set(found) == {"whole", "damaged", "empty"}
    assert found["whole"][2:5] == ("", "erofs", (digest,))
    assert "is damaged" in found["damaged"].problem
    assert found["empty"].problem == "its record is missing"
    write_snapshot_record(tmp_path / "snapshots" / "empty", "erofs", [digest])
    assert snapshotter.mounts("empty")


def test_a_draft_is_a_leftover_only_when_its_owner_is_gone(tmp_path: Path) -> None:
    snapshots = tmp_path / "snapshots"
    snapshots.mkdir()
    (snapshots / ".new-dead").mkdir()
    with own_draft(snapshots) as draft:
        assert not is_free(draft)
        assert list(leftovers(tmp_path)) == [snapshots / ".new-dead"]


def test_scratch_without_a_lock_is_a_leftover_when_it_is_old(tmp_path: Path) -> None:
    probe = tmp_path / "layers" / ".probe-x"
    probe.mkdir(parents=True)
    assert list(leftovers(tmp_path)) == []
    os.utime(probe, (1, 1))
    assert list(leftovers(tmp_path)) == [probe]


def test_mount_points_are_absolute_paths() -> None:
    points = mount_points()
    assert "/proc" in points
    assert all(point.startswith("/") for point in points)
