"""Which stretches of a sparse file a tar has to store.

A file is worth it only if its file system keeps much less than its size; that
asks nothing of ordinary files.  What is then stored follows from the content
alone: aligned blocks that are not all zero, stretches that lie close together
joined.  So the map does not depend on how a file system laid the file out, which
differs from one to the next and from one write to the next.  What does depend on
it is only whether a file counts as sparse at all: a copy of it with all its zeros
written out is stored plainly.
"""

from __future__ import annotations

import errno
import os

WORTH = 16 * 1024 * 1024
"""A file is stored sparsely if that spares at least so many bytes."""
STRETCHES = 8192
"""The most stretches of a file; beyond that farther ones are joined."""
_UNIT = 4096
_PIECE = 1024 * 1024
_NEAR = 64 * 1024
_ZERO = bytes(_PIECE)

Stretches = tuple[tuple[int, int], ...]
"""(offset, length) in bytes, rising, none empty, apart from each other."""


def is_sparse(status: os.stat_result) -> bool:
    """Whether holes are worth looking for."""
    return status.st_size - status.st_blocks * 512 >= WORTH


def find_stretches(fd: int, size: int) -> Stretches | None:
    """What of the file's first `size` bytes is to be stored; None: all of it.

    Cost: reads what the file system keeps, holes are skipped.  Raises: OSError.
    """
    joined = _Joined()
    at = 0
    while at < size:
        start, end = next_data(fd, at, size)
        if start >= size:
            break
        # Aligned, so that the blocks are the same wherever a hole ended.
        at = start - start % _UNIT
        end = min(size, end + -end % _UNIT)
        while at < end:
            piece = os.pread(fd, min(_PIECE - at % _PIECE, end - at), at)
            if not piece:
                return None  # it became shorter: reading its data will say so
            if piece != _ZERO[: len(piece)]:
                _scan(piece, at, joined)
            at += len(piece)
    if size - sum(end - start for start, end in joined.runs) < WORTH:
        return None
    return tuple((start, end - start) for start, end in joined.runs)


class _Joined:
    """Runs of data, joined over gaps that are small; smallness grows with their number."""

    def __init__(self) -> None:
        self.runs: list[list[int]] = []
        self._near = _NEAR

    def add(self, start: int, end: int) -> None:
        runs = self.runs
        if runs and start - runs[-1][1] < self._near:
            runs[-1][1] = end
            return
        runs.append([start, end])
        while len(self.runs) > STRETCHES:
            self._near *= 2
            before, self.runs = self.runs, []
            for one, other in before:
                if self.runs and one - self.runs[-1][1] < self._near:
                    self.runs[-1][1] = other
                else:
                    self.runs.append([one, other])


def _scan(piece: bytes, at: int, joined: _Joined) -> None:
    for offset in range(0, len(piece), _UNIT):
        block = piece[offset : offset + _UNIT]
        if block != _ZERO[: len(block)]:
            joined.add(at + offset, at + offset + len(block))


def next_data(fd: int, at: int, size: int) -> tuple[int, int]:
    """Where data begins at or after `at`, and where it ends; `size` if there is none.

    Raises: OSError.
    """
    try:
        start = os.lseek(fd, at, os.SEEK_DATA)
        return start, os.lseek(fd, start, os.SEEK_HOLE)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return size, size
        if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):
            return at, size  # a file system without this call: everything is data
        raise
