"""A damaged or missing catalog, and a new one out of what is left."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

from corten.content.index_file import name_of, read_index
from corten.content.listing import CATALOG
from corten.content.readonly import damage
from corten.content.salvage import replace_catalog
from corten.content.summary import RootRows, rows_of, settle_content
from corten.engine.checking.finding import Finding
from corten.engine.checking.scope import DAMAGED, REPAIR, found, living_leases, mended
from corten.engine.checking.survey import DIFF_ID, GZIP, Needs, survey
from corten.engine.host import Host
from corten.errors import Conflict, CortenError, Invalid
from corten.oci import media
from corten.oci.codec import canonical_json
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.runtime.containers import ContainerRecord

_LOST = "digests of registries and facts may be lost: pulls find them again"


def catalog_problem(host: Host) -> str:
    """What is wrong with the catalog as a whole, in a few words; empty: nothing."""
    file = host.root / CATALOG
    if not file.exists():
        blobs = host.root / "content" / "blobs"
        return "it is missing" if any(blobs.glob("*/*")) else ""
    problem = damage(file)
    if problem:
        return problem
    try:
        survey(file)
    except sqlite3.OperationalError as error:
        return "" if "locked" in str(error) else str(error)
    except (sqlite3.DatabaseError, Invalid) as error:
        return str(error)
    return ""


def rebuild(
    host: Host, problem: str, records: Sequence[ContainerRecord], *, repair: bool
) -> Finding:
    """The finding for a catalog with `problem`; under `repair` there is a new one afterwards.

    Names that cannot be read any more are those of the layout's index.json.
    Raises: Conflict: other commands are at work.
    """
    if not repair:
        return found("catalog", CATALOG, problem, f"{REPAIR} makes a new one of what is left")
    if living_leases(host.root):
        raise Conflict(
            "the catalog is damaged, and other commands are using it",
            hint=f"end them, then {REPAIR}",
        )
    host.close()
    file = host.root / CATALOG
    aside = host.root / DAMAGED / f"catalog-{time.time_ns()}"
    replace_catalog(file, aside, list(_roots(host, records)))
    host.store.publish_names()
    told = f"made anew of what was left, with {_names(len(host.store.names()))}"
    told += f" (the old one is in {aside})" if any(aside.iterdir()) else ""
    return mended("catalog", CATALOG, problem, f"{told}; {_LOST}")


def _roots(host: Host, records: Sequence[ContainerRecord]) -> Iterator[RootRows]:
    """Names of index.json and images of containers, as far as their content is here."""
    blobs = host.store.blobs
    roots = [(name, descriptor) for name, descriptor in _listed(host) if name]
    images = (blobs.typed(Digest(record.manifest)) for record in records if record.manifest)
    roots += [("", typed) for typed in images if typed is not None]
    for name, descriptor in roots:
        with suppress(CortenError):
            settle_content(blobs, descriptor)
            yield rows_of(blobs, descriptor, name, host.platform)


def _names(count: int) -> str:
    return f"{count} name{'' if count == 1 else 's'}"


def _listed(host: Host) -> Iterator[tuple[str, Descriptor]]:
    with suppress(CortenError, OSError):
        for descriptor in read_index(host.root / "content").manifests:
            yield name_of(descriptor), descriptor


def remember_again(host: Host, needs: Needs) -> None:
    """Facts that a new catalog lacks, as far as the images' own documents tell them."""
    store = host.store
    for digest, need in needs.items():
        layer, tar = need.layer, need.tar
        if layer is None or tar is None or tar == digest:
            continue
        if any(store.blobs.size_or_none(d) is None for d in (digest, tar)):
            continue
        if store.recall(DIFF_ID, digest) is None:
            store.remember(DIFF_ID, digest, str.__str__(tar))
        if media.compression(layer.media_type) == "gzip" and store.recall(GZIP, tar) is None:
            form = Descriptor(media_type=layer.media_type, digest=digest, size=layer.size)
            store.remember(GZIP, tar, canonical_json(form).decode())
