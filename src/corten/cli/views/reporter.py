"""From a mode and a stream to a `Job` whose events are shown."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol, TextIO

from corten.cli.interrupts import cancelling
from corten.errors import Usage
from corten.events.job import Job
from corten.events.model import Event

FRAME = 0.1
"""Seconds between two frames of the live view."""


class View(Protocol):
    """A fold over the events of one command.  Called by one thread at a time."""

    def event(self, event: Event) -> None:
        """Fold one event."""

    def draw(self) -> None:
        """Bring the stream up to date; called some ten times a second."""

    def note(self, text: str) -> None:
        """A line that belongs to no step."""

    def close(self) -> None:
        """The last word: nothing is called afterwards."""


@contextmanager
def reporter(mode: str, stream: TextIO) -> Iterator[Job]:
    """A job whose events are shown on `stream` while the block runs.

    `mode` is one of `modes.MODES`; ``auto`` is the live view on a terminal and plain lines
    elsewhere, ``tty`` the live view or nothing.  The first ^C within the block cancels the job, the second ends the
    process.  A stream that breaks (a closed pipe) silences the view, not the work.
    Raises: Usage: ``tty`` without a terminal.
    """
    view, moving = _choose(mode, stream)
    shown = _Locked(view)
    job = Job(shown.event)
    ticker = _Ticker(shown.draw) if moving else None
    try:
        with cancelling(job, shown.note, shown.close):
            if ticker is not None:
                shown.on_first = ticker.start
            yield job
    finally:
        if ticker is not None:
            ticker.stop()
        shown.close()


def _choose(mode: str, stream: TextIO) -> tuple[View, bool]:
    """The view, and whether it moves between events."""
    if mode == "quiet":
        from corten.cli.views.quiet import QuietView

        return QuietView(stream), False
    if mode == "json":
        from corten.cli.views.jsonlines import JsonView

        return JsonView(stream), False
    if mode == "tty" and not stream.isatty():
        raise Usage(
            "--progress=tty needs a terminal as standard error",
            hint="--progress=plain writes lines",
        )
    capable = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    if mode == "tty" or (mode == "auto" and capable):
        from corten.cli.views.live import LiveView, Style

        unicode = (getattr(stream, "encoding", "") or "").lower().replace("-", "") == "utf8"
        style = Style(colour=not os.environ.get("NO_COLOR"), unicode=unicode)
        return LiveView(stream, _measure(stream), style), True
    from corten.cli.views.plain import PlainView

    return PlainView(stream), False


def _measure(stream: TextIO) -> Callable[[], tuple[int, int]]:
    def measure() -> tuple[int, int]:
        try:
            columns, lines = os.get_terminal_size(stream.fileno())
        except (OSError, ValueError):
            import shutil

            columns, lines = shutil.get_terminal_size()
        return columns or 80, lines or 24

    return measure


class _Locked:
    """A view for many threads.  The lock is reentrant: a signal handler may hold it already."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._lock = threading.RLock()
        self._open = True
        self.on_first: Callable[[], None] | None = None

    def event(self, event: Event) -> None:
        with self._lock:
            if self._open:
                self._safely(lambda: self._view.event(event))
            first, self.on_first = self.on_first, None
        if first is not None:
            first()

    def draw(self) -> None:
        with self._lock:
            if self._open:
                self._safely(self._view.draw)

    def note(self, text: str) -> None:
        with self._lock:
            if self._open:
                self._safely(lambda: self._view.note(text))

    def close(self) -> None:
        with self._lock:
            if self._open:
                self._safely(self._view.close)
            self._open = False

    def _safely(self, act: Callable[[], None]) -> None:
        try:
            act()
        except (OSError, ValueError):  # nobody looks any more: a closed pipe or stream
            self._open = False
        except RuntimeError:
            # A signal handler came in the middle of a write to the same stream.
            pass


class _Ticker:
    """Calls `act` ten times a second in a thread of its own, from `start` to `stop`."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Not before there is something to show: short commands stay without threads."""
        self._thread = threading.Thread(target=self._run, name="corten-view", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Returns when the thread has ended."""
        self._done.set()
        if self._thread is not None:
            with suppress(RuntimeError):
                self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(FRAME):
            self._act()
