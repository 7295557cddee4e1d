"""The one place where what is unavailable is tried again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from corten.content.ingest import StorageFull
from corten.errors import Unavailable

T = TypeVar("T")


class Patience(NamedTuple):
    """How often, and after how many seconds, something is tried again."""

    attempts: int = 5
    """Tries without any progress before giving up."""
    first: float = 0.2
    """The first pause."""
    longest: float = 10.0
    """No pause is longer."""
    in_all: int = 50
    """Tries even with progress."""


PATIENCE = Patience()


def retrying(
    attempt: Callable[[], T],
    check: Callable[[], None],
    progress: Callable[[], int],
    patience: Patience = PATIENCE,
) -> T:
    """The result of `attempt`, which is called again after Unavailable.

    The pause doubles each time, with jitter; `check` is called while waiting and
    raises to stop it.  `progress` is a number that grows while something is
    achieved: as long as it does, tries count from the beginning (but there are never
    more than a fixed number in all).  Raises: Unavailable: it stayed so.
    """
    failures, reached = 0, progress()
    for _ in range(patience.in_all - 1):
        try:
            return attempt()
        except StorageFull:
            raise
        except Unavailable:
            if progress() > reached:
                failures, reached = 0, progress()
            failures += 1
            if failures >= patience.attempts:
                raise
        _pause(min(patience.first * 2 ** (failures - 1), patience.longest), check)
    return attempt()


def _pause(seconds: float, check: Callable[[], None]) -> None:
    # Many clients that lost one server at once must not all come back at once.
    end = time.monotonic() + seconds * random.uniform(0.5, 1.0)  # noqa: S311
    while (left := end - time.monotonic()) > 0:
        check()
        time.sleep(min(left, 0.1))
    check()
