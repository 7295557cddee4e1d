"""Reading a container's log: lines of ``TIME STREAM P|F TEXT``, as conmon writes them.

``F`` ends a line, ``P`` is a part of one that goes on (the line was long, or had no
end when the command stopped writing).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

_BLOCK = 65536
_POLL = 0.05
_STREAMS = {b"stdout": 1, b"stderr": 2}


class LogEntry(NamedTuple):
    """A line or part of one.  ``stream`` is 1 or 2; ``time`` RFC 3339 with nanoseconds."""

    time: str
    stream: int
    data: bytes
    whole: bool

    @property
    def text(self) -> bytes:
        """What the command wrote, with the end of the line if it was there."""
        return self.data + b"\n" if self.whole else self.data


def read_log(
    path: Path, *, tail: int | None = None, follow: Callable[[], bool] | None = None
) -> Iterator[LogEntry]:
    """The entries of the log at `path`; of the last `tail` lines only if given.

    With `follow` the iteration goes on waiting for more as long as ``follow()`` is true: the
    container runs.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        if tail is not None:
            file.seek(_tail_offset(file, tail))
        rest = b""
        while True:
            # Asked before reading, so that what came last before the end is not missed.
            going_on = follow is not None and follow()
            while data := file.read(_BLOCK):
                lines = (rest + data).split(b"\n")
                rest = lines.pop()
                for line in lines:
                    if (entry := parse_entry(line)) is not None:
                        yield entry
            if not going_on:
                return
            time.sleep(_POLL)


def parse_entry(line: bytes) -> LogEntry | None:
    """One line of the file without its end; None: not a log line."""
    fields = line.split(b" ", 3)
    if len(fields) != 4 or fields[1] not in _STREAMS:
        return None
    when = fields[0].decode("ascii", "replace")
    return LogEntry(when, _STREAMS[fields[1]], fields[3], fields[2] == b"F")


def _tail_offset(file: BinaryIO, count: int) -> int:
    """Where the last `count` lines of the command begin: looked for from the end, ever further."""
    end = file.seek(0, os.SEEK_END)
    if count <= 0:
        return end
    size = _BLOCK
    while True:
        start = max(0, end - size)
        file.seek(start)
        begins = _line_begins(file.read(end - start), start == 0)
        if len(begins) >= count:
            return start + begins[-count]
        if start == 0:
            return 0
        size *= 4


def _line_begins(data: bytes, whole: bool) -> list[int]:
    """Offsets in `data` where a line of the command surely begins."""
    begins = []
    begin, offset = whole, 0
    for line in data.removesuffix(b"\n").split(b"\n") if data else ():
        if begin:
            begins.append(offset)
        offset += len(line) + 1
        entry = parse_entry(line)
        begin = entry is not None and entry.whole
    return begins
