"""What lies under a root beside layers: snapshots, whole or not, stacks, and what crashes left."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from corten.errors import CortenError, NotFound
from corten.oci.digest import Digest
from corten.snapshot.drafts import DOOMED, DRAFT, UNFINISHED_AGE, is_old, is_unfinished, listed
from corten.snapshot.holdings import Holdings
from corten.snapshot.skeleton import NAME as SKELETON
from corten.snapshot.stacks import StackHoldings
from corten.system.durable import write_durably

DRIVERS = ("erofs", "overlay")
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)
_DRAFTS = (DRAFT, DOOMED)
_SCRATCH = ".probe-"


class HeldSnapshot(NamedTuple):
    """A snapshot's directory.  Without `problem`, `driver` and `layers` are what its record says."""

    key: str
    path: Path
    problem: str = ""
    driver: str = ""
    layers: tuple[Digest, ...] = ()
    readonly: bool = False


def held_snapshots(root: Path) -> Iterator[HeldSnapshot]:
    """All snapshots of all drivers, by key."""
    for path in listed(root / "snapshots"):
        if path.is_dir() and path.name != SKELETON:
            yield _held(root, path)


def _held(root: Path, path: Path) -> HeldSnapshot:
    problem = "its record is missing"
    for driver in DRIVERS:
        try:
            _, found = Holdings(root, driver).snapshot(path.name)
        except NotFound as error:
            problem = error.message if (path / "snapshot.json").exists() else problem
            continue
        except CortenError as error:
            return HeldSnapshot(path.name, path, error.message)
        return HeldSnapshot(path.name, path, "", driver, found.layers, found.readonly)
    return HeldSnapshot(path.name, path, problem)


def write_snapshot_record(path: Path, driver: str, layers: Sequence[Digest]) -> None:
    """Write the record of a writable snapshot anew.  Raises: OSError."""
    record = {"driver": driver, "layers": [str.__str__(d) for d in layers], "readonly": False}
    write_durably(path / "snapshot.json", msgspec.json.encode(record))


class HeldStack(NamedTuple):
    """A stack's directory, and what is wrong with it (empty: nothing).

    A ``stale`` one is no stack any more: pruning removes it.
    """

    path: Path
    driver: str
    problem: str = ""
    stale: bool = False


def held_stacks(root: Path) -> Iterator[HeldStack]:
    """All stacks of all drivers.  They are caches: what is wrong may be removed."""
    for driver in DRIVERS:
        stacks = StackHoldings(root, driver)
        layers = Holdings(root, driver)
        for path in listed(stacks.path):
            problem = _staleness(path, stacks, layers)
            if problem:
                yield HeldStack(path, driver, problem, stale=True)
            else:
                yield HeldStack(path, driver, _stack_problem(path, stacks))


def _staleness(path: Path, stacks: StackHoldings, layers: Holdings) -> str:
    if not _HEX.fullmatch(path.name):
        return "it has no chain id for a name"
    record = stacks.record(Digest(f"sha256:{path.name}"))
    if record is None:
        return "" if not path.exists() else "its record is missing or damaged"
    gone = [d for d in map(Digest, record.layers) if not layers.has_layer(d)]
    return f"its layer {gone[0].short} is gone" if gone else ""


def _stack_problem(path: Path, stacks: StackHoldings) -> str:
    record = stacks.record(Digest(f"sha256:{path.name}"))
    if record is None:
        return ""
    if record.checksum:
        import hashlib  # every collection looks at leftovers, few have indexes to hash

        try:
            with (path / "index").open("rb") as file:
                checksum = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return "" if not path.exists() else "it lacks index"
        if checksum != record.checksum:
            return "its merged index is damaged"
    return ""


def leftovers(root: Path) -> Iterator[Path]:
    """Drafts, half-removed directories and scratch whose owner is dead."""
    places = [root / "snapshots", root / "layers"]
    places += [root / kind / driver for kind in ("layers", "stacks") for driver in DRIVERS]
    for place in places:
        try:
            paths = sorted(place.iterdir())
        except FileNotFoundError:
            continue
        for path in paths:
            if path.name.startswith(_DRAFTS) and path.is_dir():
                if is_free(path):
                    yield path
            elif is_unfinished(path) or (
                path.name.startswith(_SCRATCH) and is_old(path, UNFINISHED_AGE)
            ):
                yield path


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock of a file or directory that is there; asks without waiting."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared: two that ask do not see each other, and a living owner holds it alone.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return path.exists()
