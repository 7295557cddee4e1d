"""Use cases of the whole root: what there is, how much it takes, what may go."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from corten import __version__
from corten.content.ingest import PARTIAL, PARTIAL_AGE
from corten.engine.host import Host
from corten.engine.remains import remains
from corten.errors import Denied, Unsupported
from corten.oci.digest import Digest

BLOCK = 512
"""Bytes of a block that stat(2) counts, whatever the file system's are."""


class Collected(msgspec.Struct, frozen=True):
    """What garbage collection removed: blobs, their bytes, and layers of the storage driver.

    ``spared`` are bytes that nothing needs but that were in use too recently to go, and
    ``partial`` those of downloads that were broken off and may be gone on with.  ``leftovers``
    are paths, below the root, of what killed commands had left and is gone now.
    """

    blobs: int
    size: int
    layers: int
    spared: int = 0
    partial: int = 0
    leftovers: tuple[str, ...] = ()


def collect(
    host: Host,
    *,
    grace: float | None = None,
    cache: bool = False,
    partial_age: float = PARTIAL_AGE,
    name_leftovers: bool = False,
) -> Collected:
    """Delete what no name, image, container, lease or cached build step needs.

    What was used within `grace` seconds (default: ten minutes) stays, for other
    processes that are at work.  With `cache` the build cache is forgotten first.
    Downloads that were broken off stay for `partial_age` seconds, for the next to go on from.
    What killed commands left goes in any case; to `name_leftovers` takes a look of its own.
    """
    from corten.content.gc import GRACE
    from corten.content.gc import collect as sweep

    left = list(remains(host)) if name_leftovers else []
    reclaim(host)
    grace = GRACE if grace is None else grace
    swept = sweep(
        host.store,
        _roots(host, forget=cache),
        grace=grace,
        partial_age=partial_age,
        prune=_prune_all(host),
    )
    fetched = _forget_repositories(host) + _forget_mounts(host) if cache else 0
    return Collected(
        swept.blobs + swept.partials,
        swept.size + swept.partials_size + fetched,
        swept.layers,
        swept.spared,
        sum(size for size, held in partial_downloads(host) if not held),
        tuple(str(p.relative_to(host.root)) for p in sorted(left) if not os.path.lexists(p)),
    )


def _forget_mounts(host: Host) -> int:
    """Remove the cache mounts that no step uses; returns the bytes that this gave back."""
    folder = host.root / "cache"
    if not (folder / "mounts").is_dir():
        return 0
    from corten.builder.cache_mounts import forget

    return forget(folder)


def _forget_repositories(host: Host) -> int:
    """Remove what builds fetched from Git repositories; returns the bytes that this gave back."""
    folder = host.root / "cache" / "git"
    if not folder.is_dir():
        return 0
    from corten.builder.git import prune

    return prune(folder)


def partial_downloads(host: Host) -> Iterator[tuple[int, bool]]:
    """What came of blobs that are not whole: bytes on the disk, and whether somebody writes it."""
    from corten.snapshot.remains import is_free

    for path in (host.root / "content" / "ingest").glob(f"*{PARTIAL}"):
        with suppress(FileNotFoundError):  # it is whole by now, or given up
            yield path.lstat().st_blocks * BLOCK, not is_free(path)


def _roots(host: Host, *, forget: bool) -> Iterator[Digest]:
    """What containers are made of, and the results in the build cache unless it is to `forget` them."""
    for record in host.containers.walk():
        if record.manifest:
            yield Digest(record.manifest)
    folder = host.root / "cache"
    if folder.is_dir():
        from corten.builder.cache import BuildCache

        with BuildCache(folder) as known:
            if forget:
                known.forget()
            yield from known.layers()


def reclaim(host: Host) -> int:
    """Give back what killed commands left: running build steps, snapshots, networks, scratch.

    Returns how many such things there were.  What living commands use is not touched: those
    hold a lease, and containers have records.
    """
    from corten.snapshot.removal import remove_tree

    count = 0
    # Most roots have neither: then what sees to them need not be imported.
    if any(host.containers.walk()):
        from corten.runtime.lifecycle import settle_all

        count += settle_all(host.runtime)
    if any(host.root.glob("run/steps/*")) or any(host.root.glob("run/*/.*")):
        count += host.executor.sweep()
    for folder in host.root.glob("cache/contexts"):
        from corten.snapshot.drafts import sweep

        sweep(folder)  # of builds that were killed
    # Listed before the leases are looked at: what is listed and unleased has no living owner.
    snapshots = [snapshot.key for snapshot in host.snapshotter.walk()]
    scratch = [*host.root.glob("bootstrap-*"), *host.root.glob("archive-*"), *_unfinished(host)]
    remains = host.containers.remains()
    if host.store.leases.oldest() is not None:
        return count
    # Asked for last: a container's record is there before the lease it was made under ends.
    known = {record.snapshot for record in host.containers.walk()}
    for key in snapshots:
        if key not in known:
            host.snapshotter.remove(key)
            count += 1
    for folder in scratch:
        remove_tree(folder)
        count += 1
    return count + host.containers.sweep(remains)


def _unfinished(host: Host) -> Iterator[Path]:
    """What a killed first command tried the drivers with, and files that were to replace others.

    Old ones, for whoever makes such a thing need not have a lease.
    """
    from corten.snapshot.drafts import UNFINISHED_AGE, is_old

    root = host.root
    tried = (root / "layers").glob(".probe-*")
    for path in (*tried, *root.glob(".*.tmp"), *(root / "content").glob(".*.tmp")):
        if is_old(path, UNFINISHED_AGE):
            yield path


def _prune_all(host: Host) -> Callable[[Collection[Digest], float], int]:
    """Prunes the applied layers of every driver that was ever used here."""
    from corten.snapshot.probing import choose

    names = {path.name for path in (host.root / "layers").glob("*/")} & {"erofs", "overlay"}
    drivers = [choose(host.root, name) for name in sorted(names - {host.snapshotter.driver})]

    def prune(keep: Collection[Digest], before: float) -> int:
        return sum(driver.prune(keep, before) for driver in (host.snapshotter, *drivers))

    return prune


def info(host: Host) -> dict[str, object]:
    """Facts about this installation, for people and for bug reports."""
    from corten.runtime import lifecycle
    from corten.runtime.state import Status
    from corten.snapshot.probing import Report, probe
    from corten.system.cgroup import cgroup_mode

    try:
        report = probe(host.root, host.settings.storage_driver)
    except (Denied, Unsupported) as error:
        if host.settings.storage_driver:
            raise
        report = Report("none", f"{error.message} ({error.hint})" if error.hint else error.message)
    states = [
        lifecycle.state(host.runtime, record).status for record in host.runtime.containers.walk()
    ]
    return {
        "Version": __version__,
        "Root": str(host.root),
        "StorageDriver": report.driver,
        "StorageDriverReason": report.why,
        "StorageDriversRejected": dict(report.rejected),
        "Images": len({record.image_id for record in host.store.images()}),
        "Containers": len(states),
        "ContainersRunning": sum(state is Status.RUNNING for state in states),
        "ControlGroups": cgroup_mode().value,
        "Kernel": platform.release(),
        "Python": platform.python_version(),
        "Platform": str(host.platform),
        "Programs": programs(),
    }


def programs() -> dict[str, str]:
    """Where the programs are that corten starts, empty where missing."""
    from corten.errors import CortenError
    from corten.system.process import find_program

    found = {}
    for name in ("crun", "conmon", "nft", "ip", "mmdebstrap"):
        try:
            found[name] = find_program(name)
        except CortenError:
            found[name] = ""
    return found
