"""Findings about what storage drivers keep: applied layers and stacks of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from corten.engine.checking.finding import COPY, Finding
from corten.engine.checking.scope import (
    DAMAGED,
    REPAIR,
    Scope,
    comes_back,
    found,
    leftover,
    mended,
    people,
)
from corten.errors import CortenError
from corten.oci.digest import Digest
from corten.runtime.state import Status, container_state
from corten.snapshot.checking import checks
from corten.snapshot.drafts import remove_whole
from corten.snapshot.protocols import Checks
from corten.snapshot.remains import HeldSnapshot, held_snapshots, held_stacks


def count_layers(scope: Scope) -> int:
    """How many layers all drivers keep."""
    return sum(len(list(driver.applied())) for driver in checks(scope.root))


def check_layers(scope: Scope) -> Iterator[Finding]:
    """Every applied layer of every driver, then every stack: those are made of layers."""
    for driver in checks(scope.root):
        with scope.job.step("check", f"{driver.driver} layers"):
            for layer in list(driver.applied()):
                scope.job.check()
                # A damaged tar is the blob's finding; under a repair it is whole by now, or gone.
                problem = driver.problem(layer, scope.tar(layer))
                tar = scope.whole_tar(layer)
                if not problem and tar:
                    problem = driver.difference(layer, tar, deep=scope.deep)
                if problem:
                    yield _layer(scope, driver, layer, problem)
                elif tar and (size := driver.copied(layer, tar)):
                    yield _copy(scope, driver, layer, tar, size)
    yield from _stacks(scope)


def _layer(scope: Scope, driver: Checks, layer: Digest, problem: str) -> Finding:
    need = scope.needs.get(layer)
    users = f" (of {people(need.holders)})" if need is not None and need.holders else ""
    subject = f"{driver.driver}/{layer}{users}"
    tar = scope.whole_tar(layer)
    if not scope.repair:
        # Blobs are mended first: a lost tar may be there by then.
        again = tar or (need is not None and any(map(scope.whole_tar, need.packed)))
        what = "makes it again from its tar" if again else "removes it"
        return found("layer", subject, problem, f"{REPAIR} {what}")
    snapshots = [held for held in held_snapshots(scope.root) if layer in held.layers]
    if driver.driver == "overlay" and (at_work := _at_work(scope, snapshots)):
        # Containers see an extracted tree itself; a mounted index stays as it is to its end.
        return found("layer", subject, problem, f"end {at_work}, then {REPAIR}")
    if tar is None and (need is not None or snapshots):
        # It may be the last that has these files.
        aside = scope.root / DAMAGED / f"layer-{layer.encoded}-{time.time_ns()}"
        aside.parent.mkdir(mode=0o700, exist_ok=True)
        driver.discard(layer, aside)
        back = comes_back(need, scope.known) if need is not None else "it has no image any more"
        return found("layer", subject, problem, f"moved to {aside}, for it has no tar; {back}")
    driver.discard(layer)
    if tar is None:
        return mended("layer", subject, problem, "removed: nothing needs it")
    try:
        apply(scope, driver.driver, layer)
    except CortenError as error:
        return found("layer", subject, problem, f"it cannot be made again: {error.message}")
    return mended("layer", subject, problem, "made again from its tar")


def _copy(scope: Scope, driver: Checks, layer: Digest, tar: Path, size: int) -> Finding:
    """The layer is whole, but takes the room of its tar once more."""
    subject = f"{driver.driver}/{layer}"
    problem = f"its tar lies on the disk twice ({size} bytes)"
    if scope.repair and driver.link(layer, tar):
        return mended(COPY, subject, problem, "both are one file again")
    return found(COPY, subject, problem, f"{REPAIR} makes it one file again")


def _at_work(scope: Scope, snapshots: Sequence[HeldSnapshot]) -> str:
    """Who may be running on one of the `snapshots`, for people; empty: nobody."""
    keys = {held.key for held in snapshots}
    for record in scope.records:
        state = container_state(scope.host.runtime.directory(record))
        if record.snapshot in keys and state.status is Status.RUNNING:
            return f"container {record.name}"
    # A build's steps and a container that is being made have no record.
    nobodys = keys - {record.snapshot for record in scope.records}
    return "the commands that are at work" if scope.busy and nobodys else ""


def apply(scope: Scope, driver: str, layer: Digest) -> bool:
    """Apply a layer whose tar is whole; False: there is none.  Raises: CortenError."""
    from corten.snapshot.probing import choose

    tar = scope.whole_tar(layer)
    if tar is None:
        return False
    choose(scope.root, driver).apply(layer, tar)
    return True


def _stacks(scope: Scope) -> Iterator[Finding]:
    for stack in held_stacks(scope.root):
        if not stack.problem:
            continue
        subject = f"{stack.driver}/{stack.path.name[:12]}"
        if scope.repair:
            remove_whole(stack.path)
            yield mended("stack", subject, stack.problem, "removed: it is made again when needed")
        elif stack.stale:
            yield leftover(f"stack {subject}", stack.problem)
        else:
            yield found("stack", subject, stack.problem, f"{REPAIR} removes it; it is made again")
