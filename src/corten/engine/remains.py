"""What killed commands left under a root: what it takes, and what of it a collection removed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from corten.content.ingest import CLAIM, PRIVATE
from corten.engine.host import Host

_LEASE = ".lease"


def remains(host: Host) -> Iterator[Path]:
    """Files and directories whose owner is dead, but for parts of blobs, which are of use.

    The system check finds the same, and says more of it.
    """
    from corten.snapshot.drafts import UNFINISHED_AGE, is_old
    from corten.snapshot.remains import is_free, leftovers

    root = host.root
    yield from leftovers(root)
    busy = False
    for path in (root / "content" / "ingest").glob("*"):
        if path.name.endswith((PRIVATE, CLAIM, _LEASE)):
            free = is_free(path)
            busy = busy or (not free and path.suffix == _LEASE)
            if free:
                yield path
    yield from filter(is_free, (root / "run" / "steps").glob("*/"))
    for path in (*root.glob(".*.tmp"), *(root / "content").glob(".*.tmp")):
        if is_old(path, UNFINISHED_AGE):
            yield path
    if not busy:
        yield from (*root.glob("bootstrap-*"), *root.glob("archive-*"))
        yield from _without_container(host)


def _without_container(host: Host) -> Iterator[Path]:
    """Snapshots, directories and names of containers that are not there."""
    from corten.snapshot.remains import held_snapshots

    # Asked for after the snapshots were listed: those of containers are there before them.
    snapshots = list(held_snapshots(host.root))
    owned = {record.snapshot for record in host.containers.walk()}
    # Without a record of its own one may be anything: the check sees to it, not a collection.
    nobodys = (held for held in snapshots if held.key not in owned and not held.problem)
    yield from (held.path for held in nobodys)
    yield from host.containers.remains()
    for name in (host.containers.path / ".names").glob("*"):
        if name.is_symlink() and not name.exists():
            yield name
