"""Findings about the catalog's rows, index.json and the build cache."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from corten.content.database import transaction
from corten.content.index_file import describe_name
from corten.content.listing import CATALOG
from corten.content.readonly import damage, reading
from corten.engine.checking.finding import Finding
from corten.engine.checking.scope import REPAIR, Scope, found, leftover, mended
from corten.engine.checking.survey import DIFF_ID, GZIP, familiar, gzip_form, survey
from corten.errors import CortenError, Invalid
from corten.oci.digest import Digest
from corten.oci.manifest import build_index

_LOOKS, _PAUSE = 5, 0.1
_NO_BLOB = "the blob is not here"


def check_records(scope: Scope) -> Iterator[Finding]:
    """Names, images, registry digests, facts, index.json and the build cache."""
    yield from _names(scope)
    yield from _images(scope)
    yield from _repo_digests(scope)
    yield from _facts(scope)
    yield from _index_file(scope)
    yield from _build_cache(scope)


def _names(scope: Scope) -> Iterator[Finding]:
    for name, descriptor in sorted(scope.known.names.items()):
        size = scope.blobs.size_or_none(descriptor.digest)
        if size is None or descriptor.digest in scope.damaged:
            continue  # the blob is a finding of its own, and says whose it is
        root = scope.known.images.get(descriptor.digest)
        if root is not None and size == descriptor.size == root[0].size:
            continue
        problem = "the catalog has another size of its manifest" if root else "it has no image"
        if not scope.repair:
            yield found("name", familiar(name), problem, f"{REPAIR} corrects the catalog")
            continue
        typed = scope.blobs.typed(descriptor.digest)
        try:
            assert typed is not None
            scope.host.store.tag(name, typed)
        except CortenError as error:
            yield found("name", familiar(name), f"{problem}: {error.message}", "pull it again")
        else:
            yield mended("name", familiar(name), problem, "the catalog was corrected")


def _images(scope: Scope) -> Iterator[Finding]:
    """Images without a name of which nothing is left: nobody can name or run them."""
    named = {descriptor.digest for descriptor in scope.known.names.values()}
    used = {record.manifest for record in scope.records}
    used |= {record.image_id for record in scope.records}
    for digest, (_, image_id) in sorted(scope.known.images.items()):
        if digest in named or digest in used or image_id in used:
            continue
        if scope.blobs.size_or_none(digest) is not None or not _listed(scope, digest):
            continue
        subject = Digest(image_id).short
        problem = "it has no name, and its manifest is gone"
        if scope.repair:
            with scope.host.store.catalog.change() as change:
                change.execute("DELETE FROM images WHERE digest = ?", (digest,))
            yield mended("image", subject, problem, "forgotten")
        else:
            yield found("image", subject, problem, f"{REPAIR} forgets it")


def _listed(scope: Scope, digest: Digest) -> bool:
    return digest in survey(scope.root / CATALOG).images


def _repo_digests(scope: Scope) -> Iterator[Finding]:
    """What registries know an image by that is not here any more."""
    images = {image_id for _, image_id in scope.known.images.values()}
    for repository, digest, image_id in sorted(scope.known.repo_digests):
        if image_id in images:
            continue
        subject = f"{familiar(repository)}@{digest}"
        problem = f"it is known for the image {Digest(image_id).short}, which is not here"
        if scope.repair:
            with scope.host.store.catalog.change() as change:
                change.execute(
                    "DELETE FROM repo_digests WHERE repository = ? AND digest = ?",
                    (repository, digest),
                )
            yield mended("image", subject, problem, "forgotten")
        else:
            yield found("image", subject, problem, f"{REPAIR} forgets it")


def _facts(scope: Scope) -> Iterator[Finding]:
    for kind, digest, value in sorted(scope.known.facts):
        problem = _fact_problem(scope, kind, digest, value)
        if not problem:
            continue
        subject = f"{kind} of {digest}"
        if scope.repair:
            scope.host.store.forget(kind, Digest(digest))
            yield mended("fact", subject, problem, "forgotten")
        elif problem == _NO_BLOB:
            yield leftover(f"fact {subject}", problem)
        else:
            yield found("fact", subject, problem, f"{REPAIR} forgets it")


def _fact_problem(scope: Scope, kind: str, digest: str, value: str) -> str:
    if not _here(scope, digest):
        return _NO_BLOB
    if kind == GZIP:
        form = gzip_form(value)
        if form is None:
            return "it is no descriptor"
        return "" if _here(scope, form.digest) else "what it names is not here"
    if kind == DIFF_ID:
        return "" if _here(scope, value) else "what it names is not here"
    return ""


def _here(scope: Scope, text: str) -> bool:
    """Whether there is such a blob, or a finding says that it ought to be there."""
    try:
        digest = Digest(text)
    except Invalid:
        return False
    need = scope.needs.get(digest)
    return (need is not None and not need.optional) or scope.tar(digest) is not None


def _index_file(scope: Scope) -> Iterator[Finding]:
    """Whether other tools see the names that the catalog has."""
    file = scope.root / "content" / "index.json"
    if not (scope.root / CATALOG).exists() or _index_is_right(scope, file):
        return
    problem = "it is missing" if not file.exists() else "it does not list the names as they are"
    if scope.repair:
        scope.host.store.publish_names()
        yield mended("catalog", "content/index.json", problem, "written again")
    else:
        yield found("catalog", "content/index.json", problem, f"{REPAIR} writes it again")


def _index_is_right(scope: Scope, file: Path) -> bool:
    """Another command changes first the catalog and then the file: look more than once."""
    for attempt in range(_LOOKS):
        if attempt:
            time.sleep(_PAUSE)
        with reading(scope.root / CATALOG) as db:
            rows = db.execute("SELECT name FROM names ORDER BY name").fetchall()
        names = survey(scope.root / CATALOG).names
        wanted = build_index([describe_name(names[n], n) for (n,) in rows if n in names])[1]
        try:
            if file.read_bytes() == wanted:
                return True
        except FileNotFoundError:
            if not names:
                return True  # it is written with the first name
    return False


def _build_cache(scope: Scope) -> Iterator[Finding]:
    file = scope.root / "cache" / "build.db"
    if not file.is_file():
        return
    problem = damage(file)
    if problem:
        if scope.repair:
            for suffix in ("-wal", "-shm", ""):
                file.with_name(f"{file.name}{suffix}").unlink(missing_ok=True)
            yield mended("cache", "cache/build.db", problem, "removed: builds begin it again")
        else:
            yield found("cache", "cache/build.db", problem, f"{REPAIR} removes it")
        return
    with reading(file) as db:
        rows = db.execute("SELECT DISTINCT layer FROM results WHERE layer != ''").fetchall()
    gone = [layer for (layer,) in rows if not _here(scope, layer)]
    for layer in sorted(gone):
        problem = "the result of a build step is not here"
        if not scope.repair:
            yield found("cache", layer, problem, f"{REPAIR} forgets it; it is built again")
            continue
        with closing(sqlite3.connect(file, isolation_level=None)) as db, transaction(file, db):
            db.execute("DELETE FROM results WHERE layer = ?", (layer,))
        yield mended("cache", layer, problem, "forgotten: it is built again")
