"""The directory under every writable snapshot that has the mountpoints a container needs.

A container's runtime creates missing mountpoints.  Where an overlay is its root
file system they would land in the writable directory and so in the next layer;
instead they are there already, at the bottom of the stack.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from corten.snapshot.drafts import own_draft, rename_draft
from corten.snapshot.protocols import Mount

DIRECTORIES = ("dev", "etc", "proc", "sys")
FILES = ("etc/hostname", "etc/hosts", "etc/resolv.conf")
NAME = "skeleton"


def skeleton(snapshots: Path) -> Path:
    """The constant skeleton in the directory `snapshots`, made on first use."""
    path = snapshots / NAME
    if not path.is_dir():
        snapshots.mkdir(parents=True, exist_ok=True)
        with own_draft(snapshots) as draft:
            make_mountpoints(draft, directories=DIRECTORIES, files=FILES)
            for place in sorted(draft.rglob("*"), reverse=True):
                os.utime(place, (0, 0))
            draft.chmod(0o755)
            os.utime(draft, (0, 0))
            rename_draft(draft, path)  # unless another process was faster
    return path


def make_mountpoints(
    root: Path, *, directories: Iterable[str] = (), files: Iterable[str] = ()
) -> None:
    """Make directories and empty files, with what leads to them, under `root`.

    Meant for a directory that nothing but corten writes to: symlinks in it are followed.
    """
    for name in directories:
        (root / name.lstrip("/")).mkdir(mode=0o755, parents=True, exist_ok=True)
    for name in files:
        path = root / name.lstrip("/")
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.touch(mode=0o644)


def underlay(mounts: Sequence[Mount], directory: Path) -> tuple[Mount, ...]:
    """`mounts` with `directory` as one more layer at the very bottom of the overlay.

    So a bind mount finds its mountpoint where the image has none, and it leaves
    nothing in the writable directory.  Mounts without an overlay stay as they are.
    """
    return _with_lower(mounts, directory, top=False)


def overlay(mounts: Sequence[Mount], directory: Path) -> tuple[Mount, ...]:
    """`mounts` with `directory` above all layers of the overlay, below its writable directory.

    Its directories decide about owner, mode and times of those they cover; it cannot be
    hidden by what a layer deletes.  Mounts without an overlay stay as they are.
    """
    return _with_lower(mounts, directory, top=True)


def read_only(mounts: Sequence[Mount]) -> tuple[Mount, ...]:
    """`mounts` without the overlay's writable directory; it needs two others."""

    def changed(mount: Mount) -> Mount:
        if mount.type != "overlay" or mount.target:
            return mount
        kept = [text for text in mount.options if not text.startswith(("upperdir=", "workdir="))]
        return mount._replace(options=("ro", *kept))

    return tuple(changed(mount) for mount in mounts)


def _with_lower(mounts: Sequence[Mount], directory: Path, *, top: bool) -> tuple[Mount, ...]:
    changed = []
    for mount in mounts:
        if mount.type == "overlay" and not mount.target:
            lower = [i for i, text in enumerate(mount.options) if text.startswith("lowerdir+=")]
            options = list(mount.options)
            options.insert(lower[0] if top else lower[-1] + 1, f"lowerdir+={directory}")
            changed.append(mount._replace(options=tuple(options)))
        else:
            changed.append(mount)
    return tuple(changed)
