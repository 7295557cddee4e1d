"""Standard input as a build reads it: a job can end the wait for whoever writes it."""

from __future__ import annotations

import os
import select
from typing import BinaryIO, Protocol

from corten.events.job import Job

_LOOK = 200
"""Milliseconds between two looks at the job."""


class Readable(Protocol):
    """What a context is read from."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; empty: the end."""


class ArrivingInput:
    """A stream whose reads give what is there; nobody else may read it at the same time."""

    def __init__(self, stream: BinaryIO, job: Job) -> None:
        self._stream = stream
        self._job = job
        self._poll = select.poll()
        try:
            self._descriptor = stream.fileno()
        except (OSError, AttributeError):
            self._descriptor = -1
        else:
            self._poll.register(self._descriptor, select.POLLIN)

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; empty: the end.  Raises: Cancelled, also while it waits."""
        self._job.check()
        if self._descriptor < 0:
            return self._stream.read(size)
        while not self._poll.poll(_LOOK):
            self._job.check()
        return os.read(self._descriptor, size)

    def close(self) -> None:
        """Nothing: the stream is not ours."""
