"""What all handlers work with: metadata, blobs, uploads, permission."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from corten.registry.access import Allows
from corten.registry.metadata import Metadata
from corten.registry.sessions import Sessions
from corten.registry.storage import BlobStorage

P = ParamSpec("P")
T = TypeVar("T")


class State:
    """The parts of one registry."""

    def __init__(self, metadata: Metadata, storage: BlobStorage, allows: Allows) -> None:
        self.metadata = metadata
        self.storage = storage
        self.allows = allows
        self.sessions = Sessions(metadata, storage)

    async def work(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call what blocks, in a thread."""
        return await asyncio.to_thread(function, *args, **kwargs)

    async def look(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a short look-up: at once where the metadata is a file, in a thread where it is remote.

        A look-up in a SQLite file costs 70 us, the hop to a thread and back as much again.
        """
        if self.metadata.local:
            return function(*args, **kwargs)
        return await asyncio.to_thread(function, *args, **kwargs)

    def close(self) -> None:
        """Close files and the database; uploads under way go on in the next process."""
        self.sessions.suspend()
        self.metadata.close()
