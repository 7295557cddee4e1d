"""Every operation of a client as a dialogue.

``name`` is a repository, ``reference`` a tag or digest, ``location`` the target
that the registry gave for an upload.  Every dialogue raises what the table of
``codes`` makes of an unsuccessful answer (NotFound, Denied, Unavailable, …), and
Invalid where an answer breaks the protocol.

Spec: OCI distribution, spec.md; the section is named at each.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from corten.errors import Corrupt, Invalid, NotFound
from corten.oci import media
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.oci.manifest import MANIFEST_LIMIT, detect_media_type
from corten.wire import paging, ranges, routes
from corten.wire.codes import decode, refusal
from corten.wire.dialogue import Dialogue
from corten.wire.messages import Body, Fields, Request, Response, Stream

ACCEPTED = ", ".join(
    (media.OCI_INDEX, media.OCI_MANIFEST, media.DOCKER_LIST, media.DOCKER_MANIFEST)
)
_MANIFEST_ACCEPT = ("Accept", f"{ACCEPTED}, */*;q=0.1")
_OCTETS = ("Content-Type", media.OCTET_STREAM)
_FINISH_PATIENCE = 600.0
"""Seconds: a registry reads a blob of any size once more before it answers."""


def ping() -> Dialogue[None]:
    """Whether the registry speaks the protocol ("Determining Support").

    Raises: NotFound: something else answers there.
    """
    response = yield Request(method="GET", target=routes.BASE.path)
    if response.status == 404:
        host = response.origin.partition("://")[2]
        raise NotFound(f"{host} does not speak the registry protocol (/v2/ is not there)")
    _expect(response, "check of the protocol", 200)


def resolve(name: str, reference: str) -> Dialogue[Descriptor]:
    """The descriptor of a manifest: by HEAD, or by GET where that tells too little.

    A digest may also name a blob.  Raises: NotFound.
    Spec: "Checking if content exists in the registry".
    """
    target = routes.manifest(name, reference).path
    response = yield Request(method="HEAD", target=target, headers=(_MANIFEST_ACCEPT,))
    what = f"{name}{'@' if ':' in reference else ':'}{reference}"
    if ":" in reference and response.status in (404, 500):
        # docker-registry 2.8 answers 500 for a digest that is a blob's.
        try:
            size = yield from stat_blob(name, Digest(reference))
        except NotFound:
            raise decode(response, what) from None
        return Descriptor(media_type=media.OCTET_STREAM, digest=Digest(reference), size=size)
    if response.status in (401, 403, 404, 429):
        # A HEAD has no body that could say more.
        raise decode(response, what)
    digest = Digest(reference) if ":" in reference else _content_digest(response)
    kind = _media_type(response)
    length = _length(response)
    known = response.status == 200 and kind in media.DOCUMENTS
    if known and digest is not None and length is not None:
        return Descriptor(media_type=kind, digest=digest, size=length)
    raw, kind = yield from get_manifest(name, reference)
    found = Digest(reference) if ":" in reference else Digest.of(raw)
    return Descriptor(media_type=kind, digest=found, size=len(raw))


def get_manifest(name: str, reference: str) -> Dialogue[tuple[bytes, str]]:
    """A manifest's bytes and media type ("Pulling manifests").

    Raises: Corrupt: its bytes are not those of the digest it was asked by.
    """
    what = f"{name}{'@' if ':' in reference else ':'}{reference}"
    response = yield Request(
        method="GET",
        target=routes.manifest(name, reference).path,
        headers=(_MANIFEST_ACCEPT,),
    )
    _expect(response, what, 200)
    raw = response.body
    if ":" in reference:
        digest = Digest(reference)
        if digest.computable and Digest.of(raw, digest.algorithm) != digest:
            raise Corrupt(f"{what}: the registry sent other bytes than that digest's")
    return raw, detect_media_type(raw, _media_type(response))


def stat_blob(name: str, digest: Digest) -> Dialogue[int]:
    """A blob's size in bytes.  Raises: NotFound."""
    what = f"blob {digest} of {name}"
    response = yield Request(method="HEAD", target=routes.blob(name, digest).path)
    _expect(response, what, 200)
    size = _length(response)
    if size is None:
        raise Invalid(f"{what}: the registry does not say how long it is")
    return size


class Opened(NamedTuple):
    """A body that is open to be read, and the offset in the blob at which it begins."""

    stream: Stream
    offset: int
    length: int | None


def open_blob(name: str, digest: Digest, offset: int = 0) -> Dialogue[Opened]:
    """A blob's bytes from `offset` on; from 0 where the registry knows no ranges.

    Raises: Invalid: the registry answers with another range than was asked for.
    Spec: "Pulling blobs".
    """
    what = f"blob {digest} of {name}"
    headers: Fields = (("Range", ranges.format_range(offset)),) if offset else ()
    response = yield Request(
        method="GET", target=routes.blob(name, digest).path, headers=headers, stream=True
    )
    if not response.ok or response.stream is None:
        raise decode(response, what)
    try:
        return _opened(response, response.stream, offset, what)
    except BaseException:
        response.stream.close()
        raise


def _opened(response: Response, stream: Stream, offset: int, what: str) -> Opened:
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Invalid(f"{what}: the registry encoded the bytes of a blob")
    if response.status == 200:
        return Opened(stream, 0, _length(response))
    given = ranges.parse_content_range(response.headers.get("Content-Range", ""))
    if response.status != 206 or given is None or given[0].start != offset:
        raise Invalid(f"{what}: the registry answered with another range than was asked for")
    return Opened(stream, offset, given[0].length)


def mount(name: str, digest: Digest, origin: str) -> Dialogue[str]:
    """Take a blob over from the repository `origin` of the same registry.

    Empty: done.  Else the location of an upload that the registry began instead.
    Spec: "Mounting a blob from another repository".
    """
    response = yield Request(
        method="POST",
        target=routes.uploads(name).path,
        query=(("mount", digest), ("from", origin)),
        headers=(("Content-Length", "0"),),
    )
    _expect(response, f"mount of {digest} into {name}", 201, 202)
    return "" if response.status == 201 else response.location()


def start_upload(name: str, algorithm: str = "sha256") -> Dialogue[str]:
    """Begin an upload; its location.  Spec: "POST then PUT"."""
    query: Fields = () if algorithm == "sha256" else (("digest-algorithm", algorithm),)
    response = yield Request(
        method="POST",
        target=routes.uploads(name).path,
        query=query,
        headers=(("Content-Length", "0"),),
    )
    _expect(response, f"upload to {name}", 202)
    return response.location()


def send_chunk(location: str, body: bytes | Body, offset: int, length: int | None) -> Dialogue[str]:
    """Append `body` at `offset`; the location to go on with.

    With an unknown `length` the body is streamed, without a range.
    Spec: "Pushing a blob in chunks".
    """
    headers: Fields = (_OCTETS,)
    if length:
        span = ranges.Span(offset, offset + length)
        headers += (
            ("Content-Range", ranges.format_chunk(span)),
            ("Content-Length", str(length)),
        )
    response = yield Request(
        method="PATCH",
        target=location,
        headers=headers,
        body=body,
        patience=_FINISH_PATIENCE,
    )
    _expect(response, "upload of a blob", 202)
    return response.location()


def finish_upload(location: str, digest: Digest, body: bytes = b"") -> Dialogue[None]:
    """Close an upload, with `body` as its last (or only) bytes.

    Raises: Corrupt: what was sent is not `digest`'s.
    """
    headers: Fields = (("Content-Length", str(len(body))),)
    if body:
        headers += (_OCTETS,)
    response = yield Request(
        method="PUT",
        target=location,
        query=(("digest", digest),),
        headers=headers,
        body=body,
        patience=_FINISH_PATIENCE,
    )
    _expect(response, f"upload of {digest}", 201, 204)


class Progress(NamedTuple):
    """How far an upload is, and where it goes on."""

    offset: int
    location: str


def upload_status(location: str) -> Dialogue[Progress]:
    """How many bytes an upload has.  Raises: NotFound: it has ended or never was."""
    response = yield Request(method="GET", target=location)
    _expect(response, "status of an upload", 204, 202, 200)
    target = response.location() if "Location" in response.headers else location
    return Progress(ranges.parse_received(response.headers.get("Range", "")), target)


def cancel_upload(location: str) -> Dialogue[None]:
    """Give up an upload; failures do not matter ("Cancel a blob upload")."""
    yield Request(method="DELETE", target=location, headers=(("Content-Length", "0"),))


class Stored(NamedTuple):
    """What a registry did with a manifest; ``subject``: it lists it as a referrer."""

    digest: Digest
    subject: bool


def put_manifest(name: str, reference: str, raw: bytes, media_type: str) -> Dialogue[Stored]:
    """Store a manifest under a tag or its digest ("Pushing Manifests").

    Raises: Invalid: too large; NotFound: content it names is missing.
    """
    what = f"push of {name}{'@' if ':' in reference else ':'}{reference}"
    if len(raw) > MANIFEST_LIMIT:
        raise Invalid(f"{what}: a manifest of {len(raw)} bytes is larger than {MANIFEST_LIMIT}")
    response = yield Request(
        method="PUT",
        target=routes.manifest(name, reference).path,
        headers=(("Content-Type", media_type), ("Content-Length", str(len(raw)))),
        body=raw,
        patience=_FINISH_PATIENCE,
    )
    _expect(response, what, 201, 200, 202)
    digest = _content_digest(response) or Digest.of(raw)
    if digest.computable and Digest.of(raw, digest.algorithm) != digest:
        raise Corrupt(f"{what}: the registry stored other bytes than were sent ({digest})")
    return Stored(digest, "OCI-Subject" in response.headers)


def delete_manifest(name: str, reference: str) -> Dialogue[None]:
    """Delete a tag, or a manifest by its digest ("Content Management")."""
    path = routes.manifest(name, reference).path
    response = yield Request(method="DELETE", target=path)
    _expect(response, f"deletion of {reference} in {name}", 202, 200, 204)


def delete_blob(name: str, digest: Digest) -> Dialogue[None]:
    """Take a blob out of a repository ("Deleting Blobs")."""
    response = yield Request(method="DELETE", target=routes.blob(name, digest).path)
    _expect(response, f"deletion of {digest} in {name}", 202, 200, 204)


class Page(NamedTuple):
    """Names, and the target of the next page (empty: this was the last)."""

    names: tuple[str, ...]
    next: str


class _Names(msgspec.Struct):
    tags: list[str] | None = None
    repositories: list[str] | None = None


def list_tags(name: str, target: str = "", n: int = 1000) -> Dialogue[Page]:
    """One page of tags: the first, or the one at `target` ("Listing Tags")."""
    response = yield _page_request(target or routes.tags(name).path, n)
    _expect(response, f"tags of {name}", 200)
    return Page(tuple(_names(response).tags or ()), paging.parse_next(response))


def list_repositories(target: str = "", n: int = 1000) -> Dialogue[Page]:
    """One page of the catalog (Docker's api.md, "Listing Repositories")."""
    response = yield _page_request(target or routes.CATALOG.path, n)
    _expect(response, "catalog", 200)
    return Page(tuple(_names(response).repositories or ()), paging.parse_next(response))


def _page_request(target: str, n: int) -> Request:
    query: Fields = () if urlsplit(target).query else (("n", str(n)),)
    return Request(method="GET", target=target, query=query)


def _names(response: Response) -> _Names:
    try:
        return msgspec.json.decode(response.body, type=_Names)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"{response.origin}: malformed list: {error}") from error


def _expect(response: Response, what: str, *statuses: int) -> None:
    if response.status in statuses:
        return
    if response.ok:
        raise refusal(
            "UNSUPPORTED", f"{response.origin}: {what}: unexpected status {response.status}"
        )
    raise decode(response, what)


def _content_digest(response: Response) -> Digest | None:
    text = response.headers.get("Docker-Content-Digest", "")
    return Digest(text) if text else None


def _media_type(response: Response) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip()


def _length(response: Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
