"""A fresh ext4 in a loop-mounted file, so that no store profits from or pays for what is on the disk."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def fresh_disk(image: Path, gigabytes: int = 16) -> Iterator[Path]:
    """An empty file system for the time of the block; its file goes away afterwards."""
    image.parent.mkdir(parents=True, exist_ok=True)
    mountpoint = mountpoint_of(image)
    mountpoint.mkdir(exist_ok=True)
    with image.open("wb") as file:
        file.truncate(gigabytes << 30)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
        subprocess.run(["mount", "-o", "loop", str(image), str(mountpoint)], check=True)
        try:
            yield mountpoint
        finally:
            subprocess.run(["umount", "-R", str(mountpoint)], check=False)
            # A peer may have left private mounts that keep it busy; then it goes when they go.
            subprocess.run(
                ["umount", "-l", str(mountpoint)], check=False, stderr=subprocess.DEVNULL
            )
    finally:
        image.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            mountpoint.rmdir()


def mountpoint_of(image: Path) -> Path:
    """Where the file system in `image` is mounted."""
    return image.with_suffix(".mnt")


def forget_cached(image: Path) -> None:
    """Mount the file system anew: nothing of it is cached any more, as some days after its use."""
    subprocess.run(["umount", "-R", str(mountpoint_of(image))], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(mountpoint_of(image))], check=True)
