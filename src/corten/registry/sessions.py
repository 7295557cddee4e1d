"""Uploads under way: one request at a time writes to one, and its file and hash stay open.

A session lives in memory while requests come; its bytes and a row of the
metadata outlive the process, so that an upload goes on after a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from corten.errors import CortenError
from corten.registry.metadata import Metadata, Upload
from corten.registry.storage import BlobStorage, Incoming
from corten.wire.codes import refusal

_OPEN_LIMIT: Final = 128
"""Sessions whose files stay open between requests; older ones are reopened when needed."""
_BUSY_SECONDS: Final = 15.0
_TOUCH_SECONDS: Final = 600.0
EXPIRY_SECONDS: Final = 7 * 24 * 3600.0


class Session:
    """One upload.  Use it inside :meth:`Sessions.use` only."""

    def __init__(self, upload: Upload) -> None:
        self.upload = upload
        self.lock = asyncio.Lock()
        self.incoming: Incoming | None = None
        self.touched = 0.0
        self.over = False

    @property
    def offset(self) -> int:
        """Bytes that the upload has."""
        assert self.incoming is not None
        return self.incoming.offset

    def write(self, pieces: Sequence[bytes]) -> None:
        """Append pieces.  Blocks."""
        assert self.incoming is not None
        for piece in pieces:
            self.incoming.write(piece)


class Sessions:
    """All uploads that this process knows."""

    def __init__(self, metadata: Metadata, storage: BlobStorage) -> None:
        self._metadata = metadata
        self._storage = storage
        self._known: dict[str, Session] = {}

    async def begin(self, repository: str, algorithm: str) -> str:
        """A new upload; its id."""
        upload = Upload(str(uuid.uuid4()), repository, algorithm)
        await asyncio.to_thread(self._metadata.start_upload, upload)
        self._known[upload.id] = session = Session(upload)
        session.touched = time.monotonic()
        self._trim()
        return upload.id

    @asynccontextmanager
    async def use(self, repository: str, upload_id: str) -> AsyncIterator[Session]:
        """The session, for this request alone.

        Raises: NotFound (BLOB_UPLOAD_UNKNOWN); Unavailable: another request is
        writing to it and does not end.
        """
        session = await self._find(repository, upload_id)
        try:
            async with asyncio.timeout(_BUSY_SECONDS):
                await session.lock.acquire()
        except TimeoutError:
            raise refusal("UNAVAILABLE", "another request is writing to this upload") from None
        try:
            if session.over:
                raise _unknown(upload_id)
            if session.incoming is None:
                session.incoming = await asyncio.to_thread(
                    self._storage.ingest, upload_id, session.upload.algorithm
                )
            await self._touch(session)
            yield session
        finally:
            session.lock.release()
            self._trim()

    def end(self, session: Session) -> None:
        """Forget the session: it is committed, or given up."""
        session.over = True
        session.incoming = None
        self._known.pop(session.upload.id, None)

    async def cancel(self, session: Session) -> None:
        """Give the upload up: its bytes and its row go."""
        incoming = session.incoming
        self.end(session)
        if incoming is not None:
            await asyncio.to_thread(incoming.abort)
        await asyncio.to_thread(self._metadata.end_upload, session.upload.id)

    async def expire(self) -> None:
        """Give up uploads that nobody has touched for a week ("Cancel a blob upload")."""
        limit = time.time() - EXPIRY_SECONDS
        for upload in await asyncio.to_thread(self._metadata.stale_uploads, limit):
            with contextlib.suppress(CortenError):
                async with self.use(upload.repository, upload.id) as session:
                    await self.cancel(session)

    def suspend(self) -> None:
        """Close all files; the uploads go on in the next process.  Blocks."""
        for session in self._known.values():
            if session.incoming is not None:
                session.incoming.suspend()
                session.incoming = None
        self._known.clear()

    async def _find(self, repository: str, upload_id: str) -> Session:
        session = self._known.get(upload_id)
        if session is None:
            upload = await asyncio.to_thread(self._metadata.upload, repository, upload_id)
            if upload is None:
                raise _unknown(upload_id)
            # Another request may have found it meanwhile: there is one session an upload.
            session = self._known.setdefault(upload_id, Session(upload))
        if session.upload.repository != repository:
            raise _unknown(upload_id)
        return session

    async def _touch(self, session: Session) -> None:
        now = time.monotonic()
        if now - session.touched > _TOUCH_SECONDS or session.touched == 0.0:
            session.touched = now
            await asyncio.to_thread(self._metadata.touch_upload, session.upload.id)
        # The order of the dictionary is the order of use.
        if session.upload.id in self._known:
            self._known[session.upload.id] = self._known.pop(session.upload.id)

    def _trim(self) -> None:
        """Close the files of the sessions that were not used for longest.

        Nothing here waits, so no request can meet a session that is half closed.
        """
        excess = len(self._known) - _OPEN_LIMIT
        if excess <= 0:
            return
        for session in [s for s in self._known.values() if not s.lock.locked()][:excess]:
            self._known.pop(session.upload.id, None)
            if session.incoming is not None:
                session.incoming.suspend()
                session.incoming = None


def _unknown(upload_id: str) -> CortenError:
    return refusal("BLOB_UPLOAD_UNKNOWN", f"no upload {upload_id[:60]!r}")
