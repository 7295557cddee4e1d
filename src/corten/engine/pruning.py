"""Giving back what is not in use."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from corten.engine import images
from corten.engine.host import Host
from corten.engine.system import Collected, collect
from corten.engine.usage import given_back, occupied
from corten.errors import Conflict, NotFound
from corten.events.job import Job
from corten.oci.digest import Digest


class Pruned(msgspec.Struct, frozen=True):
    """What `prune` removed; ``size`` is bytes on the disk, each file once, as `disk_usage` counts."""

    containers: tuple[str, ...]
    images: tuple[Digest, ...]
    collected: Collected
    size: int


def prune(host: Host, job: Job, *, everything: bool = False) -> Pruned:
    """Remove stopped containers, dangling images, and what nothing needs any more, with downloads
    that were broken off.  With `everything` all images that no container uses, and the build cache.
    """
    before = occupied(host.root)
    gone = []
    for record in list(host.containers.walk()):
        from corten.engine import containers  # only where there are any

        job.check()
        # One that was started or removed meanwhile is somebody's.
        with suppress(Conflict, NotFound):
            containers.remove(host, record.id)
            gone.append(record.id)
    removed: list[Digest] = []
    wanted = images.dangling(host)
    if everything:
        used = {record.image_id for record in host.containers.walk()}
        wanted = sorted({i.image_id for i in host.store.images() if str(i.image_id) not in used})
    for image in wanted:
        job.check()
        with suppress(Conflict, NotFound):
            removed += images.remove(host, str(image), force=True, prune=False).deleted
    collected = collect(host, grace=0, partial_age=0, cache=everything)
    size = given_back(before, occupied(host.root))
    return Pruned(tuple(gone), tuple(removed), collected, size)
