"""Findings about blobs, and their repair."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from corten.engine.checking.content import absent
from corten.engine.checking.finding import Finding
from corten.engine.checking.mending import Mender
from corten.engine.checking.scope import REPAIR, Scope, comes_back, found, mended, people
from corten.engine.checking.survey import GZIP, Need
from corten.oci.digest import Digest

_NOBODY = Need("blob")
# Tars first: what is compressed again is made of them.  Then what they were inflated from.
_ORDER = {"tar": 0, "layer": 1}


def check_blobs(scope: Scope, damaged: dict[Digest, str]) -> tuple[list[Finding], set[Digest]]:
    """Findings about `damaged` and missing blobs, and which are still damaged and in place."""
    problems = {**damaged, **dict.fromkeys(absent(scope.blobs, scope.needs), "it is missing")}
    ordered = sorted(problems, key=lambda d: (_ORDER.get(_need(scope, d).role, 2), d))
    if not scope.repair:
        return [
            found("blob", subject(scope, digest), problems[digest], _advice(scope, digest, damaged))
            for digest in ordered
        ], set(damaged)
    mender = Mender(scope.host.store, scope.needs, damaged, _copies(scope), scope.job)
    done: dict[Digest, Finding] = {}
    # Twice: a layer can be compressed again once its tar is inflated from another form of it.
    for _ in range(2):
        for digest in ordered:
            if digest not in done and (how := mender.mend(digest)):
                done[digest] = mended("blob", subject(scope, digest), problems[digest], how)
    for digest in ordered:
        if digest not in done:
            done[digest] = _give_up(scope, mender, digest, problems[digest])
    return [done[digest] for digest in ordered], mender.damaged


def subject(scope: Scope, digest: Digest) -> str:
    """A blob, with what it is and for whom: ``sha256:… (layer of debian:12)``."""
    need = _need(scope, digest)
    return f"{digest} ({need.role} of {people(need.holders)})" if need.holders else str(digest)


def _need(scope: Scope, digest: Digest) -> Need:
    return scope.needs.get(digest, _NOBODY)


def _give_up(scope: Scope, mender: Mender, digest: Digest, problem: str) -> Finding:
    """Nothing here has the bytes: make room for them, or let go of what nobody will miss."""
    need = _need(scope, digest)
    name = subject(scope, digest)
    if mender.is_whole_by_now(digest):
        return mended("blob", name, problem, "another command brought it meanwhile")
    if not need.holders or need.optional:
        mender.drop(digest)
        if need.tar is not None:
            scope.host.store.forget(GZIP, need.tar)
        reason = "it is made again when needed" if need.optional else "nothing needs it"
        return mended("blob", name, problem, f"deleted: {reason}")
    aside = mender.move_aside(digest)
    moved = f"moved to {aside}; " if aside is not None else ""
    return found("blob", name, problem, f"{moved}{comes_back(need, scope.known)}")


def _advice(scope: Scope, digest: Digest, damaged: dict[Digest, str]) -> str:
    need = _need(scope, digest)
    if not need.holders or need.optional:
        return f"nothing needs it: {REPAIR} deletes it"

    def whole(other: Digest) -> bool:
        return other not in damaged and scope.tar(other) is not None

    if any(map(whole, need.packed)):
        return f"{REPAIR} inflates it again"
    again = comes_back(need, scope.known)
    if need.tar is not None and need.tar != digest and whole(need.tar):
        return f"{REPAIR} tries to compress it again; else {again}"
    return f"{REPAIR} makes room for it, then {again}" if digest in damaged else again


def _copies(scope: Scope) -> Callable[[Digest], Iterator[Path]]:
    """Where drivers keep a layer's data in files of their own."""

    def copies(digest: Digest) -> Iterator[Path]:
        data = scope.root / "layers" / "erofs" / digest.encoded / "data"
        tar = scope.tar(digest)
        if data.is_file() and not (tar is not None and data.samefile(tar)):
            yield data

    return copies
