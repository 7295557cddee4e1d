"""Reading an answer while it arrives: large pieces where it is fast, no long wait where not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_WHILE = 0.25


class Arriving:
    """The body of an answer, given piece by piece at least every quarter of a second.

    So whoever reads can look at its job even where a server sends byte by byte.  TLS gives
    no more than 16 KiB at once: they are gathered.
    """

    def __init__(self, answer: BaseHTTPResponse) -> None:
        self._answer = answer
        self._failure: Exception | None = None

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes (> 0); empty: the end.  Raises: what urllib3 raises.

        What came before a failure is given first.
        """
        if self._failure is not None:
            raise self._failure
        first = self._answer.read1(size) or b""
        if not first or len(first) == size:
            return first
        pieces, left, end = [first], size - len(first), time.monotonic() + _WHILE
        try:
            while left and time.monotonic() < end and (piece := self._answer.read1(left)):
                pieces.append(piece)
                left -= len(piece)
        except Exception as error:
            self._failure = error.with_traceback(None)
        return b"".join(pieces) if len(pieces) > 1 else first
