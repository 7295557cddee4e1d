"""Request bodies: small ones whole, blobs piece by piece into an upload.

The event loop only collects; writing and hashing happen in a thread, one piece
of about 1 MiB at a time, while the next one is collected.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from starlette.requests import ClientDisconnect, Request

from corten.wire.codes import Refused, refusal

_PIECE: Final = 1024 * 1024
_LENIENCY: Final = 4
IDLE_SECONDS: Final = 60.0
"""A body of which nothing arrives for so long counts as broken off."""

Write = Callable[[Sequence[bytes]], None]


def declared_length(request: Request) -> int | None:
    """The ``Content-Length``; None: chunked or none.  Raises: Invalid: malformed."""
    text = request.headers.get("content-length")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise refusal("SIZE_INVALID", f"malformed Content-Length {text[:40]!r}")
    return int(text)


async def read_document(request: Request, limit: int, code: str) -> bytes:
    """A body of at most `limit` bytes.  Raises: Invalid (`code`, status 413): it is longer.

    A little more than the limit is read and dropped, since a client that is cut
    off while it sends does not see the answer.
    """
    too_large = refusal(code, f"a manifest may have {limit} bytes at most", status=413)
    if (declared_length(request) or 0) > _LENIENCY * limit:
        raise too_large
    pieces, total = [], 0
    async for piece in _arriving(request):
        total += len(piece)
        if total > _LENIENCY * limit:
            raise too_large
        if total <= limit:
            pieces.append(piece)
    if total > limit:
        raise too_large
    return b"".join(pieces)


async def receive_blob(request: Request, write: Write) -> int:
    """Write the body by `write`, which is called in a thread; the number of bytes.

    What has arrived before a break is written too, so that an upload goes on
    from there.  Raises: Unavailable: the client broke off; what `write` raises.
    """
    held: list[bytes] = []
    size = total = 0
    writing: asyncio.Task[None] | None = None
    broken: Refused | None = None
    try:
        try:
            async for piece in _arriving(request):
                held.append(piece)
                size += len(piece)
                if size < _PIECE:
                    continue
                if writing is not None:
                    await writing
                writing = asyncio.create_task(asyncio.to_thread(write, held))
                total += size
                held, size = [], 0
        except Refused as error:
            broken = error
        if writing is not None:
            await writing
            writing = None
        if held:
            await asyncio.to_thread(write, held)
    finally:
        # A task must not outlive the request: the upload it writes to is not its own then.
        if writing is not None and not writing.done():
            await asyncio.wait({writing})
    if broken is not None:
        raise broken
    return total + size


async def _arriving(request: Request) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    stream = request.stream()
    try:
        while True:
            async with asyncio.timeout_at(loop.time() + IDLE_SECONDS):
                piece = await anext(stream, None)
            if piece is None:
                return
            if piece:
                yield piece
    except ClientDisconnect:
        raise refusal("UNAVAILABLE", "the client broke off") from None
    except TimeoutError:
        raise refusal("UNAVAILABLE", "the client went silent", status=408) from None
