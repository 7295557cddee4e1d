"""Layers that are small to send and large to take: time, memory and disk stay bounded.

The real command takes each in a process of its own, whose memory is measured.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from corten.archive.compression import deflater
from corten.oci.digest import Digest, new_hasher
from corten.snapshot.removal import remove_tree
from corten.system.mount import mount, unmount
from hostile.layers import bombs
from hostile.layers.bombs import MIB
from support.commands import environment

pytestmark = pytest.mark.root

TESTS = Path(__file__).resolve().parents[1]


class Taken(NamedTuple):
    """How it went: exit status, messages, peak memory (MiB), seconds, and MiB of the root."""

    status: int
    says: str
    memory: float
    seconds: float
    disk: float


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A root for one case; trees too deep for others are removed."""
    made = tmp_path / "root"
    made.mkdir()
    try:
        yield made
    finally:
        remove_tree(made)


def pour(pieces: Iterator[bytes], path: Path, compression: str) -> Digest:
    """Write the stream compressed; its diff id."""
    hasher = new_hasher()
    with path.open("wb") as out:
        stream = deflater(compression, out.write, 1)
        for piece in pieces:
            hasher.update(piece)
            stream.feed(piece)
        stream.finish()
    return Digest.from_hasher(hasher, "sha256")


def archive(folder: Path, pieces: Iterator[bytes], compression: str = "gzip") -> Path:
    """What `docker save` writes, with one layer; `compressed already` if that is the compression."""
    layer = folder / "layer.tar"
    if compression == "as it is":
        with layer.open("wb") as out:
            out.writelines(pieces)
        diff_id = Digest(f"sha256:{'0' * 64}")
    else:
        diff_id = pour(pieces, layer, compression)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    }
    listed = [{"Config": "config", "RepoTags": ["bomb:1"], "Layers": ["layer.tar"]}]
    path = folder / "image.tar"
    with tarfile.open(path, "w") as tar:
        for name, document in (("manifest.json", listed), ("config", config)):
            data = json.dumps(document).encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        tar.add(layer, "layer.tar")
    layer.unlink()
    return path


def take(root: Path, *arguments: str, **more: str) -> Taken:
    """Run ``corten ARGUMENTS`` and measure it."""
    note = root.parent / "memory"
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "support.measured", str(note), *arguments],
        env=environment(root, PYTHONPATH=str(TESTS), **more),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    seconds = time.monotonic() - began
    return Taken(done.returncode, done.stderr, int(note.read_text()) / 1024, seconds, disk(root))


def disk(root: Path) -> float:
    """What the files below `root` take on disk, in MiB."""
    listed = subprocess.run(["du", "-s", "-B1", str(root)], capture_output=True, check=True)
    return int(listed.stdout.split()[0]) / MIB


def load(root: Path, pieces: Iterator[bytes], compression: str = "gzip", **more: str) -> Taken:
    """Load an image whose only layer is the stream."""
    return take(root, "load", "-q", "-i", str(archive(root.parent, pieces, compression)), **more)


def left(root: Path) -> list[str]:
    """What is half made, or an image."""
    found = [*root.glob("content/ingest/*"), *root.glob("layers/*/.new-*")]
    names = [path.name for path in found if path.suffix != ".lock"]
    images = take(root, "images", "-q")
    assert images.status == 0, images.says
    return names


@pytest.mark.parametrize(
    ("name", "pieces", "compression", "says"),
    [
        ("gzip 1000:1", bombs.zeros(400 * MIB), "gzip", "expand to more than"),
        ("zstd by the best encoder", bombs.zeros(400 * MIB), "zstd", "expand to more than"),
        ("zstd 32000:1", bombs.zeros_by_zstd(64 << 30), "as it is", "expand to more than"),
        ("pax headers without end", bombs.extensions(100), "gzip", "extension headers"),
        ("long names without end", bombs.long_names(100_000), "gzip", "extension headers"),
        ("global headers", bombs.global_headers(20_000, 50_000), "gzip", "global headers"),
        ("holes without measure", bombs.holes(20), "gzip", "too large together"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_a_bomb_is_refused_in_bounded_memory_time_and_disk(
    root: Path, name: str, pieces: Iterator[bytes], compression: str, says: str
) -> None:
    taken = load(root, pieces, compression, CORTEN_LAYER_LIMIT="64M")
    assert taken.status == 1
    assert says in taken.says
    assert "Traceback" not in taken.says
    assert taken.memory < 300, name
    assert taken.disk < 16, name
    assert left(root) == []


@pytest.mark.parametrize("driver", ["erofs", "overlay"])
def test_zeros_pass_where_the_limit_allows_them(root: Path, driver: str) -> None:
    more = {"CORTEN_LAYER_LIMIT": "200M", "CORTEN_STORAGE_DRIVER": driver}
    taken = load(root, bombs.zeros(150 * MIB), **more)
    assert (taken.status, taken.says) == (0, "")
    assert taken.memory < 150


def test_a_bomb_around_the_archive_is_refused(root: Path) -> None:
    outer = root.parent / "outer.tar.gz"
    pour(bombs.zeros(300 * MIB), outer, "gzip")
    taken = take(root, "load", "-q", "-i", str(outer), CORTEN_LAYER_LIMIT="64M")
    assert taken.status == 1
    assert "expand to more than" in taken.says
    assert taken.memory < 200
    assert left(root) == []


def test_a_bomb_that_is_imported_is_refused(root: Path) -> None:
    outer = root.parent / "outer.tar.gz"
    pour(bombs.zeros(300 * MIB), outer, "gzip")
    taken = take(root, "import", str(outer), "bomb:1", CORTEN_LAYER_LIMIT="64M")
    assert taken.status == 1
    assert "expand to more than" in taken.says
    assert left(root) == []


def test_a_bomb_that_is_added_is_refused(root: Path) -> None:
    context = root.parent / "context"
    context.mkdir()
    pour(bombs.zeros(300 * MIB), context / "bomb.tar.gz", "gzip")
    (context / "Dockerfile").write_text("FROM scratch\nADD bomb.tar.gz /\n")
    taken = take(root, "build", "-t", "bomb", str(context), CORTEN_LAYER_LIMIT="64M")
    assert taken.status == 1
    assert "expand to more than" in taken.says
    assert taken.memory < 200
    assert taken.disk < 16
    assert left(root) == []


def test_holes_take_no_disk(root: Path) -> None:
    taken = load(root, bombs.holes(5), CORTEN_STORAGE_DRIVER="erofs")
    assert (taken.status, taken.says) == (0, "")
    assert taken.disk < 2
    assert taken.memory < 150


def test_a_million_entries_of_one_name_are_one_file(root: Path) -> None:
    taken = load(root, bombs.members(1_000_000, distinct=False), CORTEN_STORAGE_DRIVER="overlay")
    assert (taken.status, taken.says) == (0, "")
    assert taken.memory < 300


def test_a_million_files_are_taken_in_bounded_memory(root: Path) -> None:
    taken = load(root, bombs.members(1_000_000, distinct=True), CORTEN_STORAGE_DRIVER="erofs")
    assert (taken.status, taken.says) == (0, "")
    assert taken.memory < 500
    assert taken.seconds < 200


def in_child(script: str) -> tuple[str, float]:
    """What a script of Python prints, and its peak memory in MiB."""
    script += "\nfrom support.measured import peak_kib; print(peak_kib())"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(PYTHONPATH=str(TESTS)),
        capture_output=True,
        text=True,
        check=True,
    )
    *said, peak = done.stdout.splitlines()
    return "\n".join(said), int(peak) / 1024


def test_two_million_and_one_members_are_refused() -> None:
    said, memory = in_child(
        "from corten.archive.entry import Entry; from corten.errors import Unsupported\n"
        "from corten.snapshot.tree import LayerTree\n"
        "tree, entry = LayerTree(), Entry(b'a')\n"
        "for _ in range(2_000_000): tree.add(entry, 0)\n"
        "try: tree.add(entry, 0)\n"
        "except Unsupported as error: print(error)\n"
    )
    assert "more than 2000000 members" in said
    assert memory < 100


def test_attributes_without_measure_are_refused() -> None:
    said, memory = in_child(
        "from corten.errors import Unsupported; from hostile.layers import bombs\n"
        "from corten.snapshot.feeding import TreeFeed\n"
        "feed, count = TreeFeed(print), 0\n"
        "try:\n"
        "    for piece in bombs.attributes(6000): feed.feed(piece); count += len(piece)\n"
        "except Unsupported as error: print(error)\n"
    )
    assert "bytes of metadata" in said
    assert memory < 400


def test_large_shared_directories_are_merged_in_bounded_memory() -> None:
    said, memory = in_child(
        "from corten.archive.entry import Entry; from corten.oci.digest import Digest\n"
        "from corten.errors import Unsupported; from corten.snapshot.erofs_index import build_index\n"
        "from corten.snapshot.erofs_reader import IndexReader\n"
        "from corten.snapshot.holdings import LayerRecord\n"
        "from corten.snapshot.merging import Stratum, merge_indexes\n"
        "from corten.snapshot.tree import LayerTree\n"
        "layers = []\n"
        "for layer in range(6):\n"
        "    tree = LayerTree()\n"
        "    for number in range(30_000): tree.add(Entry(b'd/f%d-%d' % (layer, number)), 0)\n"
        "    index = IndexReader(build_index(tree, 0))\n"
        "    layers.append(Stratum(Digest.of(b'%d' % layer), index, LayerRecord('erofs')))\n"
        "try: merge_indexes(layers, 180_005)\n"
        "except Unsupported as error: print(error)\n"
        "print(len(merge_indexes(layers, 180_006).devices))\n"
    )
    assert said.splitlines() == ["its layers have more files to be merged than 180005", "1"]
    assert memory < 120  # where a name took 500 bytes: 140


@pytest.mark.parametrize("driver", ["erofs", "overlay"])
def test_ten_thousand_directories_deep_are_contained(root: Path, driver: str) -> None:
    taken = load(root, bombs.deep(10_000), CORTEN_STORAGE_DRIVER=driver)
    assert (taken.status, taken.says) == (0, "")
    assert taken.memory < 300
    removed = take(root, "rmi", "bomb:1", CORTEN_STORAGE_DRIVER=driver)
    assert (removed.status, removed.says) == (0, "")
    assert take(root, "gc", "--grace", "0", CORTEN_STORAGE_DRIVER=driver).status == 0
    assert [path.name for path in (root / "layers" / driver).iterdir()] == [".lock"]


def test_seventy_thousand_links_of_one_file(root: Path) -> None:
    taken = load(root, bombs.links(70_000), CORTEN_STORAGE_DRIVER="erofs")
    assert (taken.status, taken.says) == (0, "")
    assert taken.memory < 300


def test_more_links_than_a_file_system_takes_are_of_another_copy(root: Path) -> None:
    taken = load(root, bombs.links(65_100), CORTEN_STORAGE_DRIVER="overlay")
    assert (taken.status, taken.says) == (0, "")
    assert left(root) == []
    (tree,) = root.glob("layers/overlay/*/fs")
    with os.scandir(tree) as names:
        inodes = Counter(name.inode() for name in names)
    assert sum(inodes.values()) == 65_101
    assert len(inodes) <= 2  # ext4 takes 65,000
    checked = take(root, "system", "check", "--deep", CORTEN_STORAGE_DRIVER="overlay")
    assert checked.status == 0, checked.says


def test_a_million_records_are_read_in_bounded_memory(root: Path) -> None:
    taken = load(root, bombs.records(1_000_000), CORTEN_STORAGE_DRIVER="erofs")
    assert (taken.status, taken.says) == (0, "")
    assert taken.memory < 300


def test_a_full_disk_is_said_and_nothing_stays(root: Path) -> None:
    path = archive(root.parent, bombs.zeros(150 * MIB))
    mount("tmpfs", str(root), "tmpfs", data="size=48m")
    try:
        taken = take(root, "load", "-q", "-i", str(path))
        assert taken.status == 1
        assert "No space left" in taken.says
        assert taken.disk < 4  # what came of the compressed layer is kept to go on with
        assert [name for name in left(root) if not name.endswith(".part")] == []
    finally:
        unmount(str(root))


def test_a_layer_stops_before_the_disk_is_full(root: Path) -> None:
    path = archive(root.parent, bombs.zeros(150 * MIB))
    mount("tmpfs", str(root), "tmpfs", data="size=96m")
    filler = root / "filler"
    try:
        filler.write_bytes(bytes(40 * MIB))
        taken = take(root, "load", "-q", "-i", str(path))
        assert taken.status == 1
        assert "of the disk are left" in taken.says or "No space left" in taken.says
        assert taken.disk < 44
    finally:
        unmount(str(root))
