"""Findings about what killed commands left behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from corten.content.gc import PARTIAL_AGE
from corten.content.ingest import CLAIM, PARTIAL, PRIVATE
from corten.engine.checking.finding import Finding
from corten.engine.checking.scope import REPAIR, Scope, found, mended
from corten.runtime.crun import STEPS
from corten.runtime.state import Status, container_state
from corten.snapshot.drafts import is_old
from corten.snapshot.remains import is_free, leftovers
from corten.snapshot.removal import remove_tree
from corten.system.mount import unmount
from corten.system.mountinfo import mount_points

_TEMPORARY_AGE = 60.0
_PAUSE = 0.05


def check_leftovers(scope: Scope) -> Iterator[Finding]:
    """Drafts, partial blobs, leases, scratch, mounts and bundles whose owner is dead.

    What is just being made may not be locked yet: only what looks dead twice is.
    """
    first = dict(_remains(scope))
    if first:
        time.sleep(_PAUSE)
    again = dict(_remains(scope)) if first else {}
    for path in sorted(first.keys() & again.keys()):
        yield _finding(scope, path, first[path], lambda path=path: _remove(scope, path))  # type: ignore[misc]
    yield from _rows(scope)
    yield from _mounts(scope)


def _remove(scope: Scope, path: Path) -> None:
    if path.parent.name == STEPS:
        # Its command may go on running: that is ended first, with its control group.
        scope.host.executor.sweep()
    else:
        remove_tree(path)


def _finding(scope: Scope, path: Path, what: str, remove: Callable[[], object]) -> Finding:
    subject = str(path.relative_to(scope.root))
    if not scope.repair:
        return found("leftover", subject, what, f"{REPAIR} removes it")
    remove()
    return mended("leftover", subject, what, "removed")


def _remains(scope: Scope) -> Iterator[tuple[Path, str]]:
    root = scope.root
    for path in leftovers(root):
        yield path, "what a killed command was making or removing"
    yield from _ingests(root / "content" / "ingest")
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
    if not scope.busy:
        for pattern in ("bootstrap-*", "archive-*"):
            for path in root.glob(pattern):
                if is_old(path, _TEMPORARY_AGE):
                    yield path, "scratch of a killed command"


def _ingests(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in folder.glob("*"):
        # A partial blob of a known digest is of use: the next pull goes on from it.
        if path.name.endswith(PARTIAL):
            if is_old(path, PARTIAL_AGE) and is_free(path):
                yield path, "part of a blob that nobody went on with"
        elif path.name.endswith((PRIVATE, CLAIM)):
            if is_free(path):
                yield path, "what a killed command was taking in"
        elif path.name.endswith(".lease") and is_free(path):
            yield path, "the lease of a killed command"


def _rows(scope: Scope) -> Iterator[Finding]:
    """Leases in the catalog without a living owner, as they were at the beginning."""
    folder = scope.root / "content" / "ingest"
    for lease in scope.known.leases:
        path = folder / f"{lease}.lease"
        if path.exists() and not is_free(path):
            continue
        if scope.repair:
            scope.host.store.leases.oldest()  # removes dead ones
            yield mended("leftover", f"lease {lease}", "its owner is dead", "removed")
        elif _still_listed(scope, lease):
            yield found("leftover", f"lease {lease}", "its owner is dead", f"{REPAIR} removes it")


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

        def remove(point: str = point) -> None:
            with suppress(OSError):
                unmount(point, detach=True)

        yield _finding(scope, Path(point), "a mount that nothing uses", remove)
