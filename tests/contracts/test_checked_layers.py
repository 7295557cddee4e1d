"""A thorough check finds nothing wrong with layers that are as they were made, and what is."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from corten.archive.entry import Entry
from corten.snapshot.checking import checks
from support.layers import Members
from support.snapshots import Bench
from support.tars import directory, file, link, pack, symlink

pytestmark = pytest.mark.root

NO_ID = 0xFFFFFFFF
FAR = 30_000_000_000 * 1_000_000_000


def acl(*entries: tuple[int, int, int]) -> dict[str, bytes]:
    packed = b"".join(struct.pack("<HHI", *entry) for entry in entries)
    return {"system.posix_acl_access": struct.pack("<I", 2) + packed}


OWNERS = ((1, 6, NO_ID), (4, 4, NO_ID), (32, 4, NO_ID))
NAMED = ((1, 6, NO_ID), (2, 7, 9), (4, 4, NO_ID), (16, 7, NO_ID), (32, 4, NO_ID))


def problem(bench: Bench, *members: Entry | tuple[Entry, bytes], damage: bytes = b"") -> str:
    """What a thorough check says of a layer; of the overlay driver's, after `damage` to a file."""
    layer = bench.layer(pack(*members))
    (driver,) = checks(bench.root)
    if damage:
        path = bench.root / "layers/overlay" / layer.encoded / "fs" / os.fsdecode(damage)
        os.setxattr(path, "trusted.odd", b"1")
    tar = bench.directory / "layer-1.tar"
    return driver.problem(layer, tar) or driver.difference(layer, tar, deep=True)


@pytest.mark.parametrize(
    "members",
    [
        (file(b"d/.wh.gone"), file(b"d/left"), file(b".wh.other")),
        (directory(b"d"), file(b"d/.wh..wh..opq"), file(b"d/new")),
        (link(b"d/again", b"below/file"),),
        (file(b"/".join([b"d" * 200] * 20) + b"/deep", b"x"),),
        (file(b"f", b"x", mode=0o644, xattrs=acl(*OWNERS)),),
        (file(b"f", b"x", mode=0o600, xattrs=acl(*NAMED)),),
        (file(b"f", b"x", mtime_ns=-FAR), file(b"g", b"x", mtime_ns=FAR), symlink(b"s", b"f")),
        (file(b"f", b"x", mode=0o6755, uid=5, gid=7), Entry(b"p", "fifo", 0o600)),
    ],
    ids=["whiteouts", "opaque", "link", "deep", "short-acl", "acl", "times", "set-user-id"],
)
def test_nothing_is_wrong_with_a_layer_as_it_was_made(members: Members, bench: Bench) -> None:
    assert problem(bench, *members) == ""


@pytest.mark.parametrize("damaged", [b"d", b"d/left", b"e/f/g"])
def test_what_was_changed_is_found_beside_whiteouts(damaged: bytes, tmp_path: Path) -> None:
    bench = Bench("overlay", tmp_path)
    members = (file(b"d/.wh.gone"), file(b"d/left"), file(b"e/f/g"), file(b"e/f/h"), file(b"z"))
    found = problem(bench, *members, damage=damaged)
    assert found == f"{damaged.decode()} has other attributes"


def test_layer_that_is_made_again_is_whole_under_the_links_to_it_too(tmp_path: Path) -> None:
    bench = Bench("overlay", tmp_path)
    below = bench.layer(pack(file(b"t", b"good")))
    above = bench.layer(pack(link(b"l", b"t")))
    before = bench.look(below, above)
    path = bench.root / "layers/overlay" / below.encoded / "fs/t"
    path.write_bytes(b"evil")
    (driver,) = checks(bench.root)
    tar = tmp_path / "layer-1.tar"
    assert driver.difference(below, tar, deep=True) != ""
    driver.discard(below)
    bench.snapshotter.apply(below, tar)
    assert bench.look(below, above) == before
