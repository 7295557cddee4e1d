"""Which control groups this machine has, and what crun has to be told about them.

Three arrangements exist: ``unified`` (version 2 alone, mounted at the top),
``legacy`` (one version 1 hierarchy a controller) and ``hybrid`` (version 1 with a
version 2 tree without controllers below it).  crun before 1.9 refuses the last;
with the version 2 tree out of sight, in a mount namespace of its own, it is legacy.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
# Of the thread: it may have a mount namespace of its own.
MOUNTINFO = Path("/proc/thread-self/mountinfo")
PREFIX = "corten-"


class CgroupMode(StrEnum):
    """How the control groups are mounted."""

    UNIFIED = "unified"
    LEGACY = "legacy"
    HYBRID = "hybrid"
    NONE = "none"


def cgroup_mode(mountinfo: str | None = None) -> CgroupMode:
    """The arrangement in this thread's mount namespace, or of the `mountinfo` text given."""
    kinds = _cgroup_mounts(MOUNTINFO.read_text() if mountinfo is None else mountinfo)
    root = str(CGROUP_ROOT)
    if kinds.get(root) == "cgroup2":
        return CgroupMode.UNIFIED
    legacy = "cgroup" in kinds.values()
    if legacy and "cgroup2" in kinds.values():
        return CgroupMode.HYBRID
    return CgroupMode.LEGACY if legacy else CgroupMode.NONE


def hybrid_trees(mountinfo: str | None = None) -> tuple[str, ...]:
    """Where version 2 trees are mounted below version 1, deepest first; empty unless hybrid."""
    text = MOUNTINFO.read_text() if mountinfo is None else mountinfo
    if cgroup_mode(text) is not CgroupMode.HYBRID:
        return ()
    kinds = _cgroup_mounts(text)
    return tuple(sorted((p for p, kind in kinds.items() if kind == "cgroup2"), reverse=True))


def crun_options(mode: CgroupMode) -> tuple[str, ...]:
    """Options of crun for this arrangement.  No systemd is asked: it need not run here."""
    return ("--cgroup-manager", "disabled" if mode is CgroupMode.NONE else "cgroupfs")


def cgroup_path(key: str) -> str:
    """The control group of the container `key`, below the root of every hierarchy.

    One directory, without a parent of ours, so that nothing stays when it is removed.
    """
    return f"/{PREFIX}{key}"


def remove_cgroup(key: str, hierarchies: Sequence[str] | None = None) -> None:
    """Remove the container's control groups and those it made below them.

    Groups that still hold processes stay: the caller kills first.  `hierarchies`:
    where to look, by default where control groups are mounted.
    """
    for folder in _groups(key, hierarchies):
        with contextlib.suppress(OSError):
            folder.rmdir()


def cgroup_processes(key: str, hierarchies: Sequence[str] | None = None) -> set[int]:
    """The ids of all processes in the container's control groups."""
    found: set[int] = set()
    for folder in _groups(key, hierarchies):
        with contextlib.suppress(OSError):
            text = (folder / "cgroup.procs").read_text()
            found.update(int(line) for line in text.split() if line.isdigit())
    return found


def _groups(key: str, hierarchies: Sequence[str] | None) -> Iterator[Path]:
    """The container's groups, those below others first."""
    if hierarchies is None:
        hierarchies = tuple(_cgroup_mounts(MOUNTINFO.read_text()))
    for hierarchy in hierarchies:
        for folder, _, _ in os.walk(Path(hierarchy, PREFIX + key), topdown=False):
            yield Path(folder)


def _cgroup_mounts(mountinfo: str) -> dict[str, str]:
    """Mount point -> file system type, of control groups.  Spec: proc(5), mountinfo."""
    found = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split(" ", 1)[0]
        if len(fields) <= 4:
            continue
        if kind in {"cgroup", "cgroup2"}:
            found[fields[4]] = kind
        else:
            found.pop(fields[4], None)  # Something else is mounted over it.
    return found
