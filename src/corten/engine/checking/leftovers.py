"""Findings about what killed commands left behind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from corten.content.ingest import CLAIM, PARTIAL, PARTIAL_AGE, PRIVATE
from corten.engine.checking.finding import LEFTOVER, Finding
from corten.engine.checking.scope import REPAIR, Scope, found, leftover, mended
from corten.runtime.crun import STEPS
from corten.runtime.state import Status, container_state
from corten.snapshot.drafts import is_old
from corten.snapshot.remains import is_free, leftovers
from corten.snapshot.removal import remove_tree
from corten.system.mount import unmount
from corten.system.mountinfo import mount_points

_TEMPORARY_AGE = 60.0
_PAUSE = 0.05
_LEASE = ".lease"


def check_leftovers(scope: Scope) -> Iterator[Finding]:
    """Drafts, partial blobs, leases, scratch, mounts and bundles whose owner is dead.

    What is just being made may not be locked yet: only what looks dead twice is.
    """
    first = dict(_remains(scope))
    if first:
        time.sleep(_PAUSE)
    again = dict(_remains(scope)) if first else {}
    for path in sorted(first.keys() & again.keys()):
        name = str(path.relative_to(scope.root))
        subject = f"lease {path.stem}" if path.suffix == _LEASE else name
        if scope.repair:
            _remove(scope, path)
            yield mended(LEFTOVER, subject, first[path], "removed")
        else:
            yield leftover(subject, first[path])
    yield from _mounts(scope)


def _remove(scope: Scope, path: Path) -> None:
    if path.parent.name == STEPS:
        # Its command may go on running: that is ended first, with its control group.
        scope.host.executor.sweep()
    elif path.suffix == _LEASE:
        scope.host.store.leases.oldest()  # removes dead ones, files and rows
    else:
        remove_tree(path)


def _remains(scope: Scope) -> Iterator[tuple[Path, str]]:
    root = scope.root
    for path in leftovers(root):
        yield path, "what a killed command was making or removing"
    yield from _ingests(root / "content" / "ingest")
    yield from _leases(scope)
    for folder in (root, root / "content"):
        for path in folder.glob(".*.tmp"):
            if is_old(path, _TEMPORARY_AGE):
                yield path, "a file that was never finished"
    for path in (root / "containers").glob(".old-*"):
        if is_old(path, _TEMPORARY_AGE):
            yield path, "a container that was not removed to its end"
    for path in (root / "run" / STEPS).glob("*/"):
        if is_free(path):
            yield path, "a build step whose build was killed, and that may go on running"
    # Listed before the leases are looked at: who makes such a thing has one before.
    scratch = [*root.glob("bootstrap-*"), *root.glob("archive-*")]
    if not scope.busy:
        for path in scratch:
            yield path, "scratch of a killed command"


def _ingests(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in folder.glob("*"):
        # A partial blob of a known digest is of use: the next pull goes on from it.
        if path.name.endswith(PARTIAL):
            if is_old(path, PARTIAL_AGE) and is_free(path):
                yield path, "part of a blob that nobody went on with"
        elif path.name.endswith((PRIVATE, CLAIM)) and is_free(path):
            yield path, "what a killed command was taking in"


def _leases(scope: Scope) -> Iterator[tuple[Path, str]]:
    """Leases without a living owner: a file, a row of the catalog, or both."""
    folder = scope.root / "content" / "ingest"
    dead = {path for path in folder.glob(f"*{_LEASE}") if is_free(path)}
    for lease in scope.known.leases:
        path = folder / f"{lease}{_LEASE}"
        if not path.exists() and _still_listed(scope, lease):
            dead.add(path)
    for path in dead:
        yield path, "its owner is dead"


def _still_listed(scope: Scope, lease: str) -> bool:
    from corten.content.listing import CATALOG
    from corten.engine.checking.survey import survey

    return lease in survey(scope.root / CATALOG).leases


def _mounts(scope: Scope) -> Iterator[Finding]:
    """What is mounted below the root in everybody's sight: commands mount in private only."""
    places = ("layers", "snapshots", "stacks", "run", "containers")
    inside = tuple(f"{scope.root.resolve()}/{place}/" for place in places)
    for point in sorted(mount_points(), reverse=True):
        if not point.startswith(inside):
            continue
        owner = Path(point).parent
        if Path(point).name == "netns" and (
            container_state(owner).status is Status.RUNNING
            or not is_old(owner, _TEMPORARY_AGE)  # it is just starting
        ):
            continue

        subject, problem = str(Path(point).relative_to(scope.root.resolve())), "nothing uses it"
        if scope.repair:
            with suppress(OSError):
                unmount(point, detach=True)
            yield mended("mount", subject, problem, "unmounted")
        else:
            yield found("mount", subject, problem, f"{REPAIR} unmounts it")
