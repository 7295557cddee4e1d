"""Manifests: pull, push and delete, by tag and by digest.

Spec: OCI distribution, "Pulling manifests", "Pushing Manifests", "Deleting tags",
"Deleting Manifests".
"""

from __future__ import annotations

from starlette.requests import Request

from corten.errors import CortenError, Invalid, Unsupported
from corten.oci import media
from corten.oci.digest import Digest
from corten.oci.manifest import (
    MANIFEST_LIMIT,
    Document,
    Manifest,
    detect_media_type,
    parse_document,
)
from corten.oci.reference import TAG
from corten.registry.exchange import Answer
from corten.registry.metadata import NewManifest
from corten.registry.receiving import read_document
from corten.registry.state import State
from corten.wire import routes
from corten.wire.codes import refusal

_TAGS_LIMIT = 100


async def get(state: State, request: Request, route: routes.Route) -> Answer:
    """A manifest, or with HEAD what it is."""
    found = await state.look(state.metadata.manifest, route.repository, route.reference)
    if found is None:
        raise _unknown(route)
    etag = f'"{found.digest}"'
    headers = {
        "Content-Type": found.media_type,
        "Docker-Content-Digest": str(found.digest),
        "ETag": etag,
    }
    if matches(request.headers.get("if-none-match", ""), etag):
        return Answer(304, headers)
    return Answer(200, headers, found.raw)


async def put(state: State, request: Request, route: routes.Route) -> Answer:
    """Store a manifest, byte for byte, once all that it names is there."""
    raw = await read_document(request, MANIFEST_LIMIT, "MANIFEST_INVALID")
    declared = request.headers.get("content-type", "").partition(";")[0].strip()
    names = request.query_params.getlist("tag")
    manifest = _examine(raw, declared, route.digest)
    if route.digest is None:
        names = [route.reference]
    elif len(names) > _TAGS_LIMIT:
        raise refusal("TAG_INVALID", f"more than {_TAGS_LIMIT} tags", status=414)
    for name in names:
        if not TAG.fullmatch(name):
            raise refusal("TAG_INVALID", f"invalid tag {name[:140]!r}")
    await state.work(state.metadata.put_manifest, route.repository, manifest, names)
    headers = {
        "Location": routes.manifest(route.repository, manifest.digest).path,
        "Docker-Content-Digest": str(manifest.digest),
    }
    if manifest.subject is not None:
        headers["OCI-Subject"] = str(manifest.subject)
    if route.digest is not None and names:
        headers["OCI-Tag"] = ", ".join(names)
    return Answer(201, headers)


async def delete(state: State, request: Request, route: routes.Route) -> Answer:
    """Delete a tag alone, or a manifest with all its tags."""
    digest = route.digest
    if digest is None:
        done = await state.work(state.metadata.delete_tag, route.repository, route.reference)
    else:
        done = await state.work(state.metadata.delete_manifest, route.repository, digest)
    if not done:
        raise _unknown(route)
    return Answer(202)


def matches(field: str, etag: str) -> bool:
    """Whether an ``If-None-Match`` field covers `etag` (RFC 9110, section 13.1.2)."""
    return field.strip() == "*" or any(
        part.strip().removeprefix("W/") == etag for part in field.split(",")
    )


def _unknown(route: routes.Route) -> CortenError:
    return refusal(
        "MANIFEST_UNKNOWN",
        f"no manifest {route.reference} in {route.repository}",
        detail={"name": route.repository, "reference": route.reference},
    )


def _examine(raw: bytes, declared: str, digest: Digest | None) -> NewManifest:
    """A pushed manifest, checked.  Raises: Invalid, Corrupt, with the code that says why."""
    algorithm = digest.algorithm if digest is not None else "sha256"
    if digest is not None and not digest.computable:
        raise refusal("DIGEST_INVALID", f"cannot verify digests of algorithm {algorithm!r}")
    found = Digest.of(raw, algorithm)
    if digest is not None and found != digest:
        raise refusal(
            "DIGEST_INVALID", f"the manifest is {found}, not {digest}", detail={"digest": digest}
        )
    try:
        document = parse_document(raw, declared)
        media_type = detect_media_type(raw, declared)
    except (Invalid, Unsupported) as error:
        raise refusal("MANIFEST_INVALID", str(error)) from error
    return NewManifest(
        digest=found,
        media_type=media_type,
        raw=raw,
        subject=document.subject.digest if document.subject is not None else None,
        artifact_type=_artifact_type(document),
        needs=_needs(document),
    )


def _artifact_type(document: Document) -> str:
    """As the list of referrers shows it ("Listing Referrers")."""
    if document.artifact_type or not isinstance(document, Manifest):
        return document.artifact_type
    return document.config.media_type


def _needs(document: Document) -> dict[Digest, int]:
    """What has to be in the repository: all children but layers that lie elsewhere by design."""
    return {
        child.digest: child.size
        for child in document.children
        if not (child.urls and media.is_foreign(child.media_type))
    }
