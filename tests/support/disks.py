"""File systems of a test's own, in files, mounted through loop devices."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")
"""Where files are memory: what is on them costs no disk, and flushing it no time."""


@contextmanager
def disk(image: Path, mountpoint: Path, megabytes: int, kind: str = "ext4") -> Iterator[Path]:
    """A new file system in the file `image`, mounted for the block; then both are gone."""
    with image.open("xb") as file:
        file.truncate(megabytes << 20)
    try:
        force = "-F" if kind == "ext4" else "-f"
        subprocess.run([f"mkfs.{kind}", "-q", force, image], check=True)
        with mounted(image, mountpoint):
            yield mountpoint
    finally:
        image.unlink()


@contextmanager
def mounted(image: Path, mountpoint: Path) -> Iterator[Path]:
    """The file system in `image`, mounted for the block: as after a start of the machine."""
    mountpoint.mkdir(parents=True)
    try:
        subprocess.run(["mount", "-o", "loop", image, mountpoint], check=True)
        try:
            yield mountpoint
        finally:
            # What a test leaves open must not keep the next one from its disk.
            subprocess.run(["umount", "-l", mountpoint], check=True)
    finally:
        mountpoint.rmdir()
