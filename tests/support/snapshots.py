"""A snapshotter to fill and look at, and what GNU tar makes of the same layer."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corten.oci.digest import Digest
from corten.snapshot.mounting import mounted
from corten.snapshot.probing import choose
from corten.snapshot.protocols import Snapshotter
from support.erofs_utils import assert_accepted
from support.tars import Look, look, write_tar


class Bench:
    """A snapshotter in a directory of its own, and shorthand to fill and look at it."""

    def __init__(self, driver: str, directory: Path, *, loop: bool = False) -> None:
        self.driver = driver
        self.loop = loop
        self.directory = directory
        directory.mkdir(exist_ok=True)
        self.root = directory / "root"
        self.snapshotter: Snapshotter = choose(self.root, driver)
        self._count = 0

    def layer(self, data: bytes) -> Digest:
        """Apply a tar."""
        self._count += 1
        diff_id, tar = write_tar(self.directory / f"layer-{self._count}.tar", data)
        self.snapshotter.apply(diff_id, tar)
        assert_accepted(self.root)
        return diff_id

    def key(self) -> str:
        self._count += 1
        return f"key-{self._count}"

    @contextmanager
    def shown(self, *layers: Digest) -> Iterator[Path]:
        """The layers, mounted read-only."""
        key = self.key()
        with mounted(self.snapshotter.prepare(key, layers, readonly=True)) as tree:
            yield tree
        self.snapshotter.remove(key)

    def look(self, *layers: Digest) -> dict[bytes, Look]:
        with self.shown(*layers) as tree:
            return look(tree)

    def diff(self, key: str) -> bytes:
        out = bytearray()
        self.snapshotter.diff(key, out.extend)
        return bytes(out)


def gnu_tar(tar: bytes | Path, place: Path) -> None:
    """Let GNU tar extract `tar` at `place`, over what is there."""
    place.mkdir(exist_ok=True)
    command = ["tar", "-x", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-p"]
    command.append("--delay-directory-restore")  # else later members change their times
    if isinstance(tar, Path):
        subprocess.run([*command, "-C", str(place), "-f", str(tar)], check=True)
    else:
        subprocess.run([*command, "-C", str(place)], input=tar, check=True)


def extracted(data: bytes | Path, place: Path) -> dict[bytes, Look]:
    """What GNU tar makes of `data`."""
    gnu_tar(data, place)
    return look(place)
