"""Uploads: begin, append, ask, finish, cancel, and mounts from other repositories.

Spec: OCI distribution, "Pushing blobs", "Mounting a blob from another repository".
"""

from __future__ import annotations

from starlette.requests import Request

from corten.errors import Corrupt, Invalid
from corten.oci.digest import Digest, new_hasher
from corten.oci.reference import REPOSITORY
from corten.registry.access import ANONYMOUS
from corten.registry.exchange import Answer, error_answer
from corten.registry.receiving import declared_length, receive_blob
from corten.registry.sessions import Session
from corten.registry.state import State
from corten.wire import routes
from corten.wire.codes import refusal
from corten.wire.ranges import format_received, parse_chunk


async def start(state: State, request: Request, route: routes.Route) -> Answer:
    """Begin an upload; or do all at once: mount, or take the blob from this very request."""
    query = request.query_params
    wanted = query.get("mount")
    if wanted is not None:
        digest = _digest(wanted)
        if await _mount(state, route.repository, digest, query.get("from", "")):
            return _created(route.repository, digest)
    given = query.get("digest")
    whole = _digest(given) if given is not None else None
    algorithm = whole.algorithm if whole is not None else query.get("digest-algorithm", "sha256")
    _check_algorithm(algorithm)
    session_id = await state.sessions.begin(route.repository, algorithm)
    if whole is None or wanted is not None:
        return _progress(202, routes.Route("upload", route.repository, session_id), 0)
    async with state.sessions.use(route.repository, session_id) as session:
        try:
            await receive_blob(request, session.write)
            return await _commit(state, session, whole)
        finally:
            if not session.over:
                # Nobody knows its location: it cannot go on.
                await state.sessions.cancel(session)


async def patch(state: State, request: Request, route: routes.Route) -> Answer:
    """Append a chunk, or a stream without a stated length."""
    async with state.sessions.use(route.repository, route.reference) as session:
        refused = _out_of_order(request, session, route)
        if refused is not None:
            return refused
        await receive_blob(request, session.write)
        return _progress(202, route, session.offset)


async def status(state: State, request: Request, route: routes.Route) -> Answer:
    """How many bytes an upload has."""
    async with state.sessions.use(route.repository, route.reference) as session:
        return _progress(204, route, session.offset)


async def finish(state: State, request: Request, route: routes.Route) -> Answer:
    """Take the last bytes, if any, verify all, store the blob."""
    given = request.query_params.get("digest")
    if given is None:
        raise refusal("DIGEST_INVALID", "the closing request of an upload needs a digest")
    digest = _digest(given)
    async with state.sessions.use(route.repository, route.reference) as session:
        refused = _out_of_order(request, session, route)
        if refused is not None:
            return refused
        await receive_blob(request, session.write)
        return await _commit(state, session, digest)


async def cancel(state: State, request: Request, route: routes.Route) -> Answer:
    """Give an upload up."""
    async with state.sessions.use(route.repository, route.reference) as session:
        await state.sessions.cancel(session)
    return Answer(204)


async def _mount(state: State, repository: str, digest: Digest, origin: str) -> bool:
    if len(origin) > routes.NAME_LIMIT or not REPOSITORY.fullmatch(origin):
        return False
    if not state.allows(ANONYMOUS, "pull", origin):
        return False
    return await state.work(state.metadata.mount_blob, repository, digest, origin)


async def _commit(state: State, session: Session, digest: Digest) -> Answer:
    assert session.incoming is not None
    upload = session.upload
    try:
        size = await state.work(session.incoming.commit, digest)
    except Corrupt as error:
        await state.sessions.cancel(session)
        raise refusal("DIGEST_INVALID", str(error), detail={"digest": str(digest)}) from error
    await state.work(state.metadata.finish_upload, upload, digest, size)
    state.sessions.end(session)
    return _created(upload.repository, digest)


def _out_of_order(request: Request, session: Session, route: routes.Route) -> Answer | None:
    """The answer to a chunk that does not begin where the upload ends.

    Raises: Corrupt (SIZE_INVALID): its range and its length contradict each other.
    """
    text = request.headers.get("content-range")
    if text is None:
        return None
    span = parse_chunk(text)
    if span.start != session.offset:
        error = refusal(
            "RANGE_INVALID", f"a chunk at {span.start}, but the upload has {session.offset} bytes"
        )
        return error_answer(error, _position(route, session.offset))
    length = declared_length(request)
    if length is not None and length != span.length:
        raise refusal("SIZE_INVALID", f"a range of {span.length} bytes, but a body of {length}")
    return None


def _progress(status: int, route: routes.Route, offset: int) -> Answer:
    return Answer(status, {**_position(route, offset), "Content-Length": "0"})


def _position(route: routes.Route, offset: int) -> dict[str, str]:
    return {
        "Location": route.path,
        "Range": format_received(offset),
        "Docker-Upload-UUID": route.reference,
    }


def _created(repository: str, digest: Digest) -> Answer:
    location = routes.blob(repository, digest).path
    return Answer(201, {"Location": location, "Docker-Content-Digest": str(digest)})


def _digest(text: str) -> Digest:
    """A digest that this registry can verify.  Raises: Corrupt (DIGEST_INVALID)."""
    try:
        digest = Digest(text)
    except Invalid as error:
        raise refusal("DIGEST_INVALID", str(error)) from error
    _check_algorithm(digest.algorithm)
    return digest


def _check_algorithm(algorithm: str) -> None:
    try:
        new_hasher(algorithm)
    except Invalid as error:
        raise refusal("DIGEST_INVALID", str(error)) from error
