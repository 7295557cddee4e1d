"""Which driver this machine can use, found out by trying."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from corten.config.limits import MERGE_LIMIT
from corten.errors import CortenError, Denied, Unsupported, Usage
from corten.snapshot.drafts import own_draft

if TYPE_CHECKING:
    from corten.snapshot.erofs import Restore
    from corten.snapshot.stacking import StackingSnapshotter

DRIVERS = ("erofs", "overlay")
_RETIRED = {
    "aufs": "overlay, which is in the kernel; aufs never was and every engine dropped it",
    "devicemapper": "erofs or overlay; engines dropped devicemapper in 2023",
    "overlay2": "overlay, which is the same driver",
}
_FILE = "driver.json"


class Report(msgspec.Struct, frozen=True):
    """Which driver is used and why.

    ``rejected`` says of every driver that would have come first why it was not taken.
    """

    driver: str
    why: str
    rejected: dict[str, str] = {}


class _Remembered(msgspec.Struct, frozen=True):
    machine: str
    report: Report


def choose(
    root: Path,
    forced: str = "",
    restore: Restore | None = None,
    merge_limit: int = MERGE_LIMIT,
) -> StackingSnapshotter:
    """The snapshotter for what lies under `root`: the one `forced` by name, else the best.

    `restore` makes the tar of a damaged layer again, where the driver finds none that is whole;
    `merge_limit`: see `corten.snapshot.merging.merge_indexes`.

    What was found is remembered under `root` for this kernel and user, so that
    only the first command has to try.

    Raises: Usage: no such driver; Unsupported: one that is gone (the hint says what
    replaces it), or nothing works here; Denied: mounting is not allowed.
    """
    driver = forced or probe(root).driver
    return _make(root, driver, restore, merge_limit)


def probe(root: Path, forced: str = "", *, again: bool = False) -> Report:
    """Which driver `choose` takes, and why; `again` tries anew.  Raises: as `choose`."""
    if forced:
        _make(root, forced)
        return Report(forced, "named by --storage-driver or CORTEN_STORAGE_DRIVER")
    path = root / "snapshots" / _FILE
    machine = f"{os.uname().release} uid {os.geteuid()}"
    if not again:
        try:
            remembered = msgspec.json.decode(path.read_bytes(), type=_Remembered)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            remembered = None
        if remembered is not None and remembered.machine == machine:
            return remembered.report
    report = _try_all(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not waited for to be on disk: what cannot be read is found out again.
    draft = path.with_name(f".{_FILE}.{os.urandom(6).hex()}.tmp")
    draft.write_bytes(msgspec.json.encode(_Remembered(machine, report)))
    draft.replace(path)
    return report


def _make(
    root: Path, driver: str, restore: Restore | None = None, merge_limit: int = MERGE_LIMIT
) -> StackingSnapshotter:
    # Only the driver that is used is imported.
    match driver:
        case "erofs":
            from corten.snapshot.erofs import ErofsSnapshotter, nothing

            return ErofsSnapshotter(root, restore or nothing, merge_limit)
        case "overlay":
            from corten.snapshot.overlay import OverlaySnapshotter

            return OverlaySnapshotter(root)
    if driver in _RETIRED:
        raise Unsupported(f"there is no storage driver {driver}", hint=f"use {_RETIRED[driver]}")
    raise Usage(
        f"there is no storage driver {driver!r}", hint=f"choose one of {', '.join(DRIVERS)}"
    )


def _try_all(root: Path) -> Report:
    from corten.system.mount import try_file_system

    rejected: dict[str, str] = {}
    try:
        try_file_system("overlay")
    except CortenError as error:
        if isinstance(error, Denied):
            raise
        raise Unsupported(
            f"no storage driver works here: {error}",
            hint="a kernel with overlayfs is needed (CONFIG_OVERLAY_FS)",
        ) from error
    try:
        why = _try_erofs(root)
    except CortenError as error:
        rejected["erofs"] = str(error)
        return Report("overlay", "layers are extracted to directories", rejected)
    return Report("erofs", why)


def _try_erofs(root: Path) -> str:
    """Make a small layer under `root` and let the kernel open it.  Raises: CortenError."""
    from corten.archive.entry import Entry
    from corten.archive.tar_writer import TarWriter
    from corten.snapshot.erofs_index import build_index
    from corten.snapshot.tree import LayerTree
    from corten.system.mount import try_file_system

    directory = root / "layers"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with own_draft(directory, ".probe-") as scratch:
        tar, index = scratch / "tar", scratch / "index"
        with tar.open("wb") as file:
            writer = TarWriter(file.write)
            writer.add(Entry(b"file", size=1), b"x")
            writer.finish()
        tree = LayerTree()
        tree.add(Entry(b"file", size=1), 512)
        index.write_bytes(build_index(tree, tar.stat().st_size))
        through_loop = try_file_system("erofs", str(index), (str(tar),))
    if through_loop:
        return "the kernel mounts layer tars in place, through loop devices"
    return "the kernel mounts layer tars in place"
