"""``fsck.erofs`` of erofs-utils accepts the indexes: those of layers, and merged ones.

So it does with all that the other contracts make: `support.erofs_utils.accepted`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from corten.archive.entry import Entry
from corten.errors import Invalid
from corten.oci.digest import Digest
from corten.snapshot.erofs import ErofsSnapshotter
from corten.snapshot.erofs_layout import SLOTS
from corten.snapshot.stacks import chain_ids
from support.debian import debian_root
from support.erofs_utils import Fsck, assert_accepted, fsck_erofs, indexes
from support.layers import LAYERS, many
from support.tars import directory, file, link, pack, symlink, write_tar

pytestmark = [pytest.mark.network]


@pytest.fixture(scope="module")
def fsck() -> Fsck:
    return fsck_erofs()


def apply(snapshotter: ErofsSnapshotter, place: Path, data: bytes) -> Digest:
    diff_id, tar = write_tar(place / "layer.tar", data)
    snapshotter.apply(diff_id, tar)
    tar.unlink()
    return diff_id


def problems(fsck: Fsck, root: Path, *layers: Digest) -> list[str]:
    """What is wrong with the indexes of `layers`, and with their merged one."""
    if len(set(layers)) > 1:
        snapshotter = ErofsSnapshotter(root)
        snapshotter.merge(layers)
        assert snapshotter._holdings.stacks.record(chain_ids(layers)[-1]) is not None
    found = [fsck.check(index, devices) for index, devices in indexes(root)]
    assert len(found) >= len(set(layers))
    return [text for text in found if text]


EVERYTHING: list[Entry | tuple[Entry, bytes]] = [
    directory(b"./", 0o755, xattrs={"user.root": b"r" * 300}),
    directory(b"bin", 0o1777),
    file(b"bin/su", b"#!" * 5000, mode=0o4755, mtime_ns=1_234_567_890_123_456_789),
    link(b"hard", b"bin/su"),
    file(b"owned", b"o", uid=65536, gid=4_000_000_000),
    file(b"empty", mtime_ns=-1_500_000_000),
    file(b"attributes", b"a" * 3000, xattrs={"user.one": b"1", "trusted.two": b"2" * 900}),
    file(b"capable", b"", xattrs={"security.capability": b"\1\0\0\2" + bytes(16)}),
    symlink(b"short", b"t"),
    *(symlink(b"inline%d" % i, b"t" * i * 30) for i in range(1, 20)),
    symlink(b"long", b"t" * 4000),
    Entry(b"null", "char", 0o666, major=1, minor=3),
    Entry(b"disk", "block", 0o660, major=259, minor=300),
    Entry(b"pipe", "fifo", 0o600),
    file(b"\xff\xfe", b"?"),
    file(b"n" * 255, b"long name"),
    *(file(b"flat/%0200d" % i, b"x") for i in range(50)),
    directory(b"/".join([b"deep"] * 200)),
]


def test_layer_of_everything_is_accepted(fsck: Fsck, tmp_path: Path) -> None:
    root = tmp_path / "root"
    layer = apply(ErofsSnapshotter(root), tmp_path, pack(*EVERYTHING))
    assert problems(fsck, root, layer) == []


def test_stack_of_everything_is_accepted(fsck: Fsck, tmp_path: Path) -> None:
    snapshotter = ErofsSnapshotter(tmp_path / "root")
    layers = [
        apply(snapshotter, tmp_path, pack(*members))
        for members in (
            EVERYTHING,
            [directory(b"./", 0o711, xattrs={"user.root": b"R" * 2000}), *many(b"bin/d", 2000)],
            [file(b".wh.hard"), file(b"flat/.wh..wh..opq"), link(b"bin/again", b"bin/su")],
            [directory(b"bin", xattrs={"user.x": b"x" * 700}), file(b"only/.wh.here")],
            [],
        )
    ]
    assert problems(fsck, tmp_path / "root", *layers) == []
    one, two, *others = layers
    assert problems(fsck, tmp_path / "root", two, one, *others) == []
    assert problems(fsck, tmp_path / "root", one, *others, two) == []


def test_as_many_layers_as_an_index_can_have_are_accepted(fsck: Fsck, tmp_path: Path) -> None:
    snapshotter = ErofsSnapshotter(tmp_path / "root")
    layers = [
        apply(snapshotter, tmp_path, pack(file(b"d/f%d" % i, b"%d" % i))) for i in range(SLOTS)
    ]
    assert problems(fsck, tmp_path / "root", *layers) == []


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(LAYERS)
def test_generated_stacks_are_accepted(
    fsck: Fsck, layers: list[list[Entry | tuple[Entry, bytes]]]
) -> None:
    with tempfile.TemporaryDirectory(prefix="corten-fsck-") as folder:
        place = Path(folder)
        snapshotter = ErofsSnapshotter(place / "root")
        applied: list[Digest] = []
        for members in layers:
            try:
                layer = apply(snapshotter, place, pack(*members))
                snapshotter.complete([*applied, layer])
            except Invalid:
                continue
            applied.append(layer)
        assert problems(fsck, place / "root", *applied) == []


@pytest.mark.parametrize("where", ["superblock", "inode", "directory"])
def test_damage_is_found_so_that_the_proof_is_one(fsck: Fsck, tmp_path: Path, where: str) -> None:
    root = tmp_path / "root"
    layer = apply(ErofsSnapshotter(root), tmp_path, pack(*EVERYTHING))
    index = root / "layers/erofs" / layer.encoded / "index"
    data = bytearray(index.read_bytes())
    root_number = int.from_bytes(data[1038:1040], "little") << 5
    start = int.from_bytes(data[root_number + 16 : root_number + 20], "little") * 512
    at = {"superblock": 1024, "inode": root_number, "directory": start}[where]
    data[at : at + 8] = b"\xff" * 8
    index.write_bytes(data)
    assert problems(fsck, root, layer) != []
    with pytest.raises(AssertionError, match="status"):
        assert_accepted(root)


def test_debian_root_alone_and_under_a_layer_is_accepted(fsck: Fsck, tmp_path: Path) -> None:
    snapshotter = ErofsSnapshotter(tmp_path / "root")
    diff_id = apply(snapshotter, tmp_path, debian_root().read_bytes())
    above = apply(snapshotter, tmp_path, pack(*many(b"usr/lib/new", 3000), file(b"etc/.wh.passwd")))
    assert problems(fsck, tmp_path / "root", diff_id, above) == []
