"""How much room a root takes, by what for, and giving back what is not in use."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from corten.engine import containers, images
from corten.engine.host import Host
from corten.engine.system import Collected, collect
from corten.errors import Conflict, NotFound
from corten.events.job import Job
from corten.oci.digest import Digest
from corten.runtime import lifecycle
from corten.runtime.state import Status
from corten.runtime.volumes import VolumeStore


class Usage(NamedTuple):
    """One kind of thing: how many, how many of them in use, bytes, bytes that could go."""

    kind: str
    total: int
    active: int
    size: int
    reclaimable: int


class Pruned(msgspec.Struct, frozen=True):
    """What `prune` removed."""

    containers: tuple[str, ...]
    images: tuple[Digest, ...]
    collected: Collected


def disk_usage(host: Host) -> list[Usage]:
    """Images, containers, volumes and the build cache.

    What images share is counted once in ``size`` and for each in ``reclaimable``, which
    is never more.  Cost: a walk of all files that are not blobs.
    """
    records = list(host.runtime.containers.walk())
    running = {r.id for r in records if lifecycle.state(host.runtime, r).status is Status.RUNNING}
    used = {record.image_id for record in records}
    sizes = {str(image.image_id): image.size for image in host.store.images()}
    blobs = sum(status.st_size for _, status in host.store.blobs.scan())
    unused = sum(size for image, size in sizes.items() if image not in used)
    own = {
        record.id: _tree(host.runtime.directory(record))
        + _tree(host.root / "snapshots" / record.snapshot)
        for record in records
    }
    stopped = sum(size for identity, size in own.items() if identity not in running)
    store = VolumeStore(host.root)
    volumes = {name: _tree(store.directory(name)) for name in store.walk()}
    bound = {bind.source for record in records for bind in record.binds}
    busy = {name for name in volumes if str(store.directory(name)) in bound}
    free = sum(size for name, size in volumes.items() if name not in busy)
    cache = _tree(host.root / "cache")
    held = len(used & sizes.keys())
    return [
        Usage("Images", len(sizes), held, blobs + _tree(host.root / "layers"), min(unused, blobs)),
        Usage("Containers", len(own), len(running), sum(own.values()), stopped),
        Usage("Volumes", len(volumes), len(busy), sum(volumes.values()), free),
        Usage("Build Cache", int(cache > 0), 0, cache, cache),
    ]


def prune(host: Host, job: Job, *, everything: bool = False) -> Pruned:
    """Remove stopped containers, dangling images (with `everything` all unused ones), and what
    nothing needs any more.
    """
    gone = []
    for record in list(host.runtime.containers.walk()):
        job.check()
        # One that was started or removed meanwhile is somebody's.
        with suppress(Conflict, NotFound):
            containers.remove(host, record.id)
            gone.append(record.id)
    removed: list[Digest] = []
    wanted = images.dangling(host)
    if everything:
        used = {record.image_id for record in host.runtime.containers.walk()}
        wanted = sorted({i.image_id for i in host.store.images() if str(i.image_id) not in used})
    for image in wanted:
        job.check()
        with suppress(Conflict, NotFound):
            removed += images.remove(host, str(image), force=True, prune=False).deleted
    return Pruned(tuple(gone), tuple(removed), collect(host))


def _tree(path: Path) -> int:
    """Bytes that a directory's files take on the disk; what vanishes meanwhile is nothing."""
    total = 0
    pending = [path]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    with suppress(OSError):
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
                        if entry.is_dir(follow_symlinks=False):
                            pending.append(Path(entry.path))
        except OSError:
            continue
    return total
