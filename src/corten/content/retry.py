"""The one place where what is unavailable is tried again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from corten.content.ingest import StorageFull
from corten.errors import Unavailable

T = TypeVar("T")

ATTEMPTS = 5
"""Tries without any progress before giving up."""
_FIRST_SECONDS, _LONGEST_SECONDS = 0.2, 10.0
_ALL_ATTEMPTS = 50


def retrying(attempt: Callable[[], T], check: Callable[[], None], progress: Callable[[], int]) -> T:
    """The result of `attempt`, which is called again after Unavailable.

    The pause doubles each time, with jitter; `check` is called while waiting and
    raises to stop it.  `progress` is a number that grows while something is
    achieved: as long as it does, tries count from the beginning (but there are never
    more than a fixed number in all).  Raises: Unavailable: it stayed so.
    """
    failures, reached = 0, progress()
    for _ in range(_ALL_ATTEMPTS - 1):
        try:
            return attempt()
        except StorageFull:
            raise
        except Unavailable:
            if progress() > reached:
                failures, reached = 0, progress()
            failures += 1
            if failures >= ATTEMPTS:
                raise
        _pause(min(_FIRST_SECONDS * 2 ** (failures - 1), _LONGEST_SECONDS), check)
    return attempt()


def _pause(seconds: float, check: Callable[[], None]) -> None:
    # Many clients that lost one server at once must not all come back at once.
    end = time.monotonic() + seconds * random.uniform(0.5, 1.0)  # noqa: S311
    while (left := end - time.monotonic()) > 0:
        check()
        time.sleep(min(left, 0.1))
    check()
