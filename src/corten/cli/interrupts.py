"""^C: the first asks the work to stop, the second stops it.  A lost terminal asks too."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from corten.events.job import Job

INTERRUPTED = 130
"""The exit status of a command that ^C ended: 128 + SIGINT."""


@contextmanager
def cancelling(job: Job, note: Callable[[str], None], close: Callable[[], None]) -> Iterator[None]:
    """Within the block SIGINT, SIGTERM and SIGHUP cancel `job`; a second one ends the process.

    `note` tells the user that it was understood, `close` puts the terminal in order
    before the process ends at once.  In a thread other than the main one nothing changes:
    only the main thread may set signal handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupted(number: int, frame: FrameType | None) -> None:
        if job.cancelled:
            close()
            os._exit(INTERRUPTED)
        job.cancel()
        if number == signal.SIGHUP:
            return  # Nobody is there to read it.
        note("cancelling… (again to stop at once)")

    before = {
        number: signal.signal(number, interrupted)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        # What nohup(1) has set stays: the work shall outlive the terminal.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
