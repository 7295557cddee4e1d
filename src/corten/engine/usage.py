"""How much room a root takes, and by what for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from corten.content.gc import reach, roots_of
from corten.engine.checking.scope import DAMAGED
from corten.engine.host import Host
from corten.engine.remains import remains
from corten.engine.system import BLOCK, partial_downloads
from corten.oci.digest import Digest
from corten.runtime import lifecycle
from corten.runtime.containers import ContainerRecord
from corten.runtime.state import Status
from corten.runtime.volumes import VolumeStore
from corten.snapshot.drafts import DOOMED, DRAFT, listed
from corten.snapshot.stacks import walk_stacks


class Usage(NamedTuple):
    """One kind of thing: how many, how many of them in use, bytes, bytes that could go."""

    kind: str
    total: int
    active: int
    size: int
    reclaimable: int


Files = dict[tuple[int, int], int]
"""Files by device and inode, so each once however many names it has; bytes on the disk."""


def disk_usage(host: Host) -> list[Usage]:
    """Images, containers, volumes and the build cache, as they lie on the disk; and, if there
    are any, downloads that were broken off, what killed commands left and what repairs set aside.

    A layer's tar, which the storage driver has by a hard link, counts once.  What images
    and the build cache share counts as the images', and so does what nothing needs any
    more.  Reclaimable is what no container needs.  Cost: a walk of all files that are not
    blobs.
    """
    records = list(host.runtime.containers.walk())
    files = list(_files(host))
    images, cache = _contents(host, records, files)
    rows = [images, _containers(host, records), _volumes(host, records), cache]
    if partials := list(partial_downloads(host)):
        idle = [size for size, held in partials if not held]
        whole = sum(size for size, _ in partials)
        busy = len(partials) - len(idle)
        rows.append(Usage("Partial Downloads", len(partials), busy, whole, sum(idle)))
    if left := set(remains(host)):
        # A draft has hard links of what images have.
        known = {key for _, each in files for key in each}
        size = sum(size for key, size in _trees(left).items() if key not in known)
        rows.append(Usage("Leftovers", len(left), 0, size, size))
    aside = host.root / DAMAGED
    if aside.is_dir():
        # Nobody but its owner deletes it, and no container is made of it.
        rows.append(Usage("Damaged", sum(1 for _ in aside.iterdir()), 0, _size(aside), 0))
    return rows


def occupied(root: Path) -> Files:
    """All files under `root`, but those in volumes and what repairs set aside."""
    found: Files = {}
    with suppress(FileNotFoundError), os.scandir(root) as entries:
        for entry in entries:
            if entry.name not in ("volumes", DAMAGED):
                found.update(_tree(Path(entry.path)))
    return found


def given_back(before: Files, after: Files) -> int:
    """Bytes on the disk of the files `before` that are not there any more, or are smaller.

    What others wrote meanwhile takes nothing from that; the inode of a file that went may
    be one of theirs by now.
    """
    return sum(max(0, size - after.get(key, 0)) for key, size in before.items())


def _contents(
    host: Host, records: Sequence[ContainerRecord], found: Sequence[tuple[str, Files]]
) -> tuple[Usage, Usage]:
    """Images, and the layers that only the build cache holds (not its small database)."""
    store = host.store
    identities = {str(image.image_id) for image in store.images()}
    used = {record.image_id for record in records}
    active = reach(
        store, [Digest(text) for r in records for text in (r.manifest, r.image_id) if text]
    )
    held = reach(store, roots_of(store)) | active
    cached = _cached(host.root / "cache")
    extra = reach(store, cached) - held
    images: Files = {}
    needed: Files = {}
    cache: Files = {}
    for digest, files in found:
        (cache if digest in extra else images).update(files)
        if digest in active:
            needed.update(files)
    mounts = listed(host.root / "cache" / "mounts")
    cache.update(_trees(mounts))
    size, kept, only = sum(images.values()), sum(needed.values()), sum(cache.values())
    return (
        Usage("Images", len(identities), len(used & identities), size, size - kept),
        Usage("Build Cache", len(cached) + len(mounts), len(cached & held), only, only),
    )


def _files(host: Host) -> Iterator[tuple[str, Files]]:
    """The files of every blob, and of every layer that a driver made of one, by its digest.

    What a driver made of a stack of layers is the topmost one's.
    """
    for digest, status in host.store.blobs.scan():
        yield digest, {(status.st_dev, status.st_ino): status.st_blocks * BLOCK}
    for driver in listed(host.root / "layers"):
        for layer in listed(driver):
            yield f"sha256:{layer.name}", _tree(layer)
    for stack, record in walk_stacks(host.root):
        if not stack.name.startswith((DRAFT, DOOMED)):
            yield record.layers[-1], _tree(stack)


def _cached(folder: Path) -> frozenset[Digest]:
    """The layers that the build cache would reuse."""
    if not (folder / "build.db").is_file():
        return frozenset()
    from corten.builder.cache import BuildCache

    with BuildCache(folder) as known:
        return known.layers()


def _containers(host: Host, records: Sequence[ContainerRecord]) -> Usage:
    running = {r.id for r in records if lifecycle.state(host.runtime, r).status is Status.RUNNING}
    own = {
        record.id: _size(host.runtime.directory(record))
        + _size(host.root / "snapshots" / record.snapshot)
        for record in records
    }
    stopped = sum(size for identity, size in own.items() if identity not in running)
    return Usage("Containers", len(own), len(running), sum(own.values()), stopped)


def _volumes(host: Host, records: Sequence[ContainerRecord]) -> Usage:
    store = VolumeStore(host.root)
    volumes = {name: _size(store.directory(name)) for name in store.walk()}
    bound = {bind.source for record in records for bind in record.binds}
    busy = {name for name in volumes if str(store.directory(name)) in bound}
    # No command removes them: they are the data of people.
    return Usage("Volumes", len(volumes), len(busy), sum(volumes.values()), 0)


def _size(path: Path) -> int:
    return sum(_tree(path).values())


def _trees(paths: Iterable[Path]) -> Files:
    found: Files = {}
    for path in paths:
        found.update(_tree(path))
    return found


def _tree(path: Path) -> Files:
    """A directory, and all that is in it; what vanishes meanwhile is nothing."""
    found: Files = {}
    with suppress(OSError):
        _note(found, path.lstat())
    pending = [path]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    with suppress(OSError):
                        _note(found, entry.stat(follow_symlinks=False))
                        if entry.is_dir(follow_symlinks=False):
                            pending.append(Path(entry.path))
        except OSError:
            continue
    return found


def _note(found: Files, status: os.stat_result) -> None:
    found[status.st_dev, status.st_ino] = status.st_blocks * BLOCK
