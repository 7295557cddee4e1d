"""`Job`: the one context argument of everything that takes time.

A job is where work reports what it does and learns that it should stop.  It
takes the place of a progress callback, a logger and a cancellation token.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from corten.errors import Cancelled
from corten.events.model import Event, Finished, Output, Progress, Started, Warned

Emit = Callable[[Event], None]


class _Shared:
    """What all jobs of one tree have in common."""

    __slots__ = ("emit", "ids", "outer", "stopped")

    def __init__(self, emit: Emit, outer: _Shared | None = None) -> None:
        self.emit = emit
        self.ids: Iterator[int] = outer.ids if outer else itertools.count(1)
        self.outer = outer
        self.stopped = False

    @property
    def cancelled(self) -> bool:
        return self.stopped or (self.outer is not None and self.outer.cancelled)


class Job:
    """A node in the tree of work.  May be used from several threads.

    ``emit`` receives every event of the tree; it is called from the thread that
    does the work and has to do its own locking.
    """

    __slots__ = ("_current", "_detail", "_shared", "_status", "_total", "id")

    def __init__(self, emit: Emit | None = None) -> None:
        self._shared = _Shared(emit or _ignore)
        self.id = ""
        self._current = 0
        self._total: int | None = None
        self._status = "done"
        self._detail = ""

    @contextmanager
    def step(self, kind: str, name: str, total: int | None = None) -> Iterator[Job]:
        """A child job for the with-block: Started at its beginning, Finished at its end.

        The status is ``failed`` if an exception leaves the block, ``cancelled``
        for :class:`Cancelled` and where nobody reads the output any more
        (BrokenPipeError), else what :meth:`result` set (``done``).

        Raises: Cancelled: the tree was cancelled before the step began.
        """
        self.check()
        child = Job.__new__(Job)
        child._shared = self._shared
        child.id = str(next(self._shared.ids))
        child._current, child._total = 0, total
        child._status, child._detail = "done", ""
        emit = self._shared.emit
        emit(Started(child.id, self.id, kind, name, total))
        begin = time.monotonic()
        try:
            yield child
        except (Cancelled, BrokenPipeError):
            emit(Finished(child.id, "cancelled", "", time.monotonic() - begin))
            raise
        except BaseException as error:
            emit(Finished(child.id, "failed", str(error), time.monotonic() - begin))
            raise
        emit(Finished(child.id, child._status, child._detail, time.monotonic() - begin))

    def advance(self, units: int) -> None:
        """`units` more are done.  Raises: Cancelled."""
        self.check()
        self._current += units
        if self.id:
            self._shared.emit(Progress(self.id, self._current, self._total))

    def output(self, stream: int, data: bytes) -> None:
        """Pass on what a process wrote to its stdout (1) or stderr (2)."""
        self._shared.emit(Output(self.id, stream, data))

    def warn(self, text: str) -> None:
        """Tell the user something that does not stop the work."""
        self._shared.emit(Warned(self.id, text))

    def result(self, status: str, detail: str = "") -> None:
        """What Finished will say when the step's block ends well."""
        self._status, self._detail = status, detail

    def cancel(self) -> None:
        """Ask the whole tree to stop: the next `check` anywhere in it raises."""
        self._shared.stopped = True

    def scope(self) -> Job:
        """A job that stands in this one's place, but whose `cancel` stops only what is under it.

        For work of which one part's failure stops the other parts.
        """
        inner = Job.__new__(Job)
        inner._shared = _Shared(self._shared.emit, self._shared)
        inner.id = self.id
        inner._current, inner._total = self._current, self._total
        inner._status, inner._detail = "done", ""
        return inner

    @property
    def cancelled(self) -> bool:
        """Whether the tree was asked to stop."""
        return self._shared.cancelled

    def check(self) -> None:
        """Raises: Cancelled: the tree was asked to stop."""
        if self._shared.cancelled:
            raise Cancelled("cancelled")


def _ignore(event: Event) -> None:
    pass
