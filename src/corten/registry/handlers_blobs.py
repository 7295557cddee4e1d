"""Blobs: pull, whole or in ranges, and delete.

Spec: OCI distribution, "Pulling blobs", "Deleting Blobs"; RFC 9110, sections 13 and 14.
"""

from __future__ import annotations

from starlette.requests import Request

from corten.errors import CortenError
from corten.oci import media
from corten.oci.digest import Digest
from corten.registry.exchange import JSON, Answer, FilePart, error_answer
from corten.registry.handlers_manifests import matches
from corten.registry.state import State
from corten.wire import routes
from corten.wire.codes import Refused, refusal
from corten.wire.ranges import Span, format_content_range, parse_range


async def get(state: State, request: Request, route: routes.Route) -> Answer:
    """A blob's bytes, or with HEAD how many there are."""
    digest = Digest(route.reference)
    size = await state.look(state.metadata.blob, route.repository, digest)
    if size is None:
        # Clients also ask for a manifest as a blob: it is content of the repository like others.
        found = await state.look(state.metadata.manifest, route.repository, digest)
        if found is None:
            raise _unknown(route)
        headers = {"Content-Type": media.OCTET_STREAM, "Docker-Content-Digest": str(digest)}
        return Answer(200, headers, found.raw)
    etag = f'"{digest}"'
    headers = {
        "Content-Type": media.OCTET_STREAM,
        "Docker-Content-Digest": str(digest),
        "ETag": etag,
        "Accept-Ranges": "bytes",
        # Content that is named by its digest never changes.
        "Cache-Control": "max-age=31536000, immutable",
    }
    if matches(request.headers.get("if-none-match", ""), etag):
        return Answer(304, headers)
    if request.method == "HEAD":
        return Answer(200, {**headers, "Content-Length": str(size)})
    span = Span(0, size)
    status = 200
    if "range" in request.headers and request.headers.get("if-range", etag) == etag:
        try:
            wanted = parse_range(request.headers["range"], size)
        except Refused as error:
            return error_answer(error, {"Content-Range": f"bytes */{size}"})
        if wanted is not None:
            span, status = wanted, 206
            headers["Content-Range"] = format_content_range(span, size)
    if size == 0:
        return Answer(status, headers)
    return Answer(status, headers, file=FilePart(state.storage.open(digest), span))


async def delete(state: State, request: Request, route: routes.Route) -> Answer:
    """Take a blob out of the repository."""
    digest = Digest(route.reference)
    if not await state.work(state.metadata.unlink_blob, route.repository, digest):
        raise _unknown(route)
    return Answer(202, {"Content-Type": JSON, "Docker-Content-Digest": str(digest)})


def _unknown(route: routes.Route) -> CortenError:
    return refusal(
        "BLOB_UNKNOWN",
        f"no blob {route.reference} in {route.repository}",
        detail={"digest": route.reference},
    )
