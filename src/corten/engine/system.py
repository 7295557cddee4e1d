"""Use cases of the whole root: what there is, how much it takes, what may go."""

from __future__ import annotations

import platform

import msgspec

from corten import __version__
from corten.engine.host import Host
from corten.oci.digest import Digest


class Collected(msgspec.Struct, frozen=True):
    """What garbage collection removed: blobs, their bytes, and layers of the storage driver."""

    blobs: int
    size: int
    layers: int


def collect(host: Host, *, grace: float | None = None, cache: bool = False) -> Collected:
    """Delete what no name, image, container, lease or cached build step needs.

    What was used within `grace` seconds (default: ten minutes) stays, for other
    processes that are at work.  With `cache` the build cache is forgotten first.
    """
    from corten.content.gc import GRACE
    from corten.content.gc import collect as sweep

    roots = [Digest(r.manifest) for r in host.runtime.containers.walk() if r.manifest]
    folder = host.root / "cache"
    if folder.is_dir():
        from corten.builder.cache import BuildCache

        with BuildCache(folder) as known:
            if cache:
                known.forget()
            roots += known.layers()
    grace = GRACE if grace is None else grace
    swept = sweep(host.store, roots, grace=grace, prune=host.snapshotter.prune)
    return Collected(swept.blobs + swept.partials, swept.size + swept.partials_size, swept.layers)


def info(host: Host) -> dict[str, object]:
    """Facts about this installation, for people and for bug reports."""
    from corten.runtime import lifecycle
    from corten.runtime.state import Status
    from corten.snapshot.probing import probe
    from corten.system.cgroup import cgroup_mode

    report = probe(host.root, host.settings.storage_driver)
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
