"""Mark and sweep: what no name, image, lease or caller's root holds goes.

Safe beside pulls and builds of other processes: what was ingested or asked for
within the grace period, or since the oldest living lease began, stays, and so
does all below it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

import msgspec

from corten.content.graph import COUNT_LIMIT
from corten.content.ingest import PARTIAL_AGE
from corten.content.local import LocalStore
from corten.errors import Corrupt, CortenError, Invalid, NotFound
from corten.oci.codec import convert, decode_object
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.oci.image_config import CONFIG_LIMIT, RootFS
from corten.oci.manifest import MANIFEST_LIMIT, parse_document

GRACE = 600.0
"""Seconds for which an unreferenced blob stays after it was last used."""
_SLACK = 120.0
_FACTS_LIMIT = 500


class Collected(msgspec.Struct, frozen=True):
    """What a collection did.

    ``live`` is what is held, ``layers`` how many applied layers the driver let go of,
    ``spared`` the bytes of what nothing holds but was in use too recently.
    """

    blobs: int
    size: int
    partials: int
    partials_size: int
    live: frozenset[Digest]
    layers: int = 0
    spared: int = 0


Prune = Callable[[Collection[Digest], float], int]
"""A driver's `prune`: lets go of applied layers that are not among the diff ids, nor so new."""


def collect(
    store: LocalStore,
    roots: Iterable[Digest] = (),
    *,
    grace: float = GRACE,
    partial_age: float = PARTIAL_AGE,
    prune: Prune | None = None,
) -> Collected:
    """Remove what nothing holds.

    `roots` are further digests to keep, with all below them (a build cache's
    results); they are asked for after the leases were looked at, so that who ends a
    lease has put its roots there before.  `grace` is in seconds, and so is `partial_age`:
    what came of a blob and was last written longer ago goes, unless somebody is at work.
    With `prune` applied layers go too, before the tars that they are made of: a layer without
    its tar would look whole.
    """
    # In this order: whoever takes a lease that is not seen here uses things after `now`.
    now = time.time()
    oldest = store.leases.oldest()
    begun = now if oldest is None else oldest - _SLACK
    unused_since = min(now - grace, begun)
    # Without names: what is listed must go.  Without a list: the first one was never finished.
    if (store.path / "index.json").exists() or store.names():
        store.publish_names()  # one that removed a name may have been killed before it did this
    found = list(store.blobs.scan())
    young = [digest for digest, status in found if status.st_mtime >= unused_since]
    held = live(store, roots)
    marked = held | reach(store, young)
    layers = prune(marked, unused_since) if prune is not None else 0
    count = size = spared = 0
    gone: list[Digest] = []
    for digest, status in found:
        if digest in marked:
            spared += 0 if digest in held else status.st_size
            continue
        freed = store.blobs.sweep(digest, unused_since)
        if freed is not None:
            count, size = count + 1, size + freed
            gone.append(digest)
    _forget_facts(store, [*gone, *_unfounded(store, {digest for digest, _ in found})])
    # A command that tries again has let go of its partial file for a moment.
    partials, partials_size = store.blobs.sweep_partials(min(now - partial_age, begun))
    return Collected(count, size, partials, partials_size, frozenset(marked), layers, spared)


def live(store: LocalStore, roots: Iterable[Digest] = ()) -> set[Digest]:
    """All digests that names, images and `roots` hold, directly or through others.

    Raises: Corrupt: the manifest of an image is damaged, so what it holds is not known.
    """
    held = roots_of(store)
    for digest in held:
        _check_root(store, digest)
    return reach(store, [*held, *roots])


def roots_of(store: LocalStore) -> list[Digest]:
    """What names and images hold directly."""
    held = store.catalog.rows("SELECT digest FROM names UNION SELECT digest FROM images")
    return [Digest(digest) for (digest,) in held]


def reach(store: LocalStore, roots: Iterable[Digest]) -> set[Digest]:
    """`roots` and all digests that they hold, directly or through others."""
    pending = list(roots)
    marked: set[Digest] = set()
    while pending:
        digest = pending.pop()
        if digest in marked:
            continue
        marked.add(digest)
        pending += (child for child in _children(store, digest) if child not in marked)
    return marked


def _check_root(store: LocalStore, digest: Digest) -> None:
    """A root that cannot be read would let go of all below it: better to let go of nothing."""
    size = store.blobs.size_or_none(digest)
    if size is None or size > MANIFEST_LIMIT or not digest.computable:
        return
    try:
        raw = store.blobs.read(digest, MANIFEST_LIMIT)
    except NotFound:
        return  # another collection was faster: it is no root any more
    if Digest.of(raw, digest.algorithm) == digest:
        return
    row = store.catalog.row("SELECT name FROM names WHERE digest = ?", digest)
    raise Corrupt(
        f"the manifest of {row[0] if row else digest} is damaged: nothing was collected",
        hint=f"remove that image (corten rmi -f {row[0] if row else digest.short}), or pull it again",
    )


def _children(store: LocalStore, digest: Digest) -> list[Digest]:
    """What the blob names: a manifest its children, a config its tars, a tar its compressed form."""
    children: list[Digest] = []
    if (fact := store.recall("compressed/gzip", digest)) is not None:
        children.append(_compressed(fact))
    # Not found: another collection was faster.  Unproven: else each tar would be read after a boot.
    with suppress(NotFound), store.blobs.open(digest, prove=False) as file:
        if os.fstat(file.fileno()).st_size <= CONFIG_LIMIT and file.read(1) == b"{":
            children += _named_by(b"{" + file.readall())
    return children


def _named_by(raw: bytes) -> list[Digest]:
    if len(raw) <= MANIFEST_LIMIT:
        try:
            document = parse_document(raw)
        except CortenError:
            pass
        else:
            children = [child.digest for child in document.children]
            return children if len(children) <= COUNT_LIMIT else []
    try:
        shape = decode_object(raw, "image configuration", CONFIG_LIMIT)
        if isinstance(rootfs := shape.get("rootfs"), dict):
            return list(convert(rootfs, RootFS, "rootfs").diff_ids)
    except Invalid:
        pass
    return []


def _compressed(fact: str) -> Digest:
    return convert(decode_object(fact.encode(), "fact", CONFIG_LIMIT), Descriptor, "fact").digest


def _unfounded(store: LocalStore, found: set[Digest]) -> list[Digest]:
    """What there are facts about, but no blob: a collection was killed after it removed that."""
    known = store.catalog.rows("SELECT DISTINCT digest FROM facts")
    strange = (digest for (text,) in known if (digest := Digest(text)) not in found)
    return [digest for digest in strange if store.blobs.size_or_none(digest) is None]


def _forget_facts(store: LocalStore, gone: list[Digest]) -> None:
    for at in range(0, len(gone), _FACTS_LIMIT):
        part = gone[at : at + _FACTS_LIMIT]
        with store.catalog.change(durable=False) as change:
            change.executemany("DELETE FROM facts WHERE digest = ?", [(digest,) for digest in part])
