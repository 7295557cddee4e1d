"""Answers of the registry as values, and how they leave: documents whole, blobs by sendfile."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, NamedTuple

import msgspec

from corten.errors import CortenError
from corten.wire.codes import encode
from corten.wire.ranges import Span

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

_PIECE: Final = 1024 * 1024
_INLINE: Final = 128 * 1024
"""Bytes up to which reading at once is cheaper than handing over to a thread."""
SENDFILE: Final = "corten.sendfile"
"""Extension of a scope: ``await extension(descriptor, span)`` sends bytes of a file as body."""
JSON: Final = "application/json"
_ALWAYS: Final = (
    (b"docker-distribution-api-version", b"registry/2.0"),
    (b"x-content-type-options", b"nosniff"),
)


class FilePart(NamedTuple):
    """Bytes of an open file.  Whoever sends it closes the descriptor."""

    descriptor: int
    span: Span


class Answer(NamedTuple):
    """What the registry says to one request."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""
    file: FilePart | None = None


def json_answer(
    value: Any, headers: Mapping[str, str] | None = None, media_type: str = JSON
) -> Answer:
    """A JSON document."""
    body = msgspec.json.encode(value)
    return Answer(200, {"Content-Type": media_type, **(headers or {})}, body)


def error_answer(error: CortenError, headers: Mapping[str, str] | None = None) -> Answer:
    """The answer that says `error`."""
    status, body = encode(error)
    return Answer(status, {"Content-Type": JSON, **(headers or {})}, body)


async def respond(scope: Message, send: Send, answer: Answer) -> None:
    """Send `answer`; to a HEAD its header alone."""
    try:
        fields = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in answer.headers.items()
        ]
        length = answer.file.span.length if answer.file is not None else len(answer.body)
        bodiless = answer.status in (204, 304)
        if not bodiless and "Content-Length" not in answer.headers:
            fields.append((b"content-length", str(length).encode("ascii")))
        start = {"type": "http.response.start", "status": answer.status}
        await send({**start, "headers": [*_ALWAYS, *fields]})
        if scope["method"] == "HEAD" or bodiless:
            await send({"type": "http.response.body"})
        elif answer.file is None:
            await send({"type": "http.response.body", "body": answer.body})
        elif length <= _INLINE:
            data = os.pread(answer.file.descriptor, length, answer.file.span.start)
            await send({"type": "http.response.body", "body": data})
        elif (sendfile := scope.get("extensions", {}).get(SENDFILE)) is not None:
            await sendfile(answer.file.descriptor, answer.file.span)
            await send({"type": "http.response.body"})
        else:
            await _send_pieces(send, answer.file)
    finally:
        if answer.file is not None:
            os.close(answer.file.descriptor)


async def _send_pieces(send: Send, part: FilePart) -> None:
    """Read in a thread, send, piece by piece: for servers without zero-copy, and for TLS."""
    position = part.span.start
    while True:
        count = min(_PIECE, part.span.stop - position)
        data = await asyncio.to_thread(os.pread, part.descriptor, count, position)
        position += len(data)
        more = position < part.span.stop and bool(data)
        await send({"type": "http.response.body", "body": data, "more_body": more})
        if not more:
            return
