"""Writing a growing file to disk while it grows, so that the fsync at its end finds little to do."""

from __future__ import annotations

import threading

STEP = 16 * 1024 * 1024
"""Bytes that are handed to the disk at a time."""
_WRITE = 2  # SYNC_FILE_RANGE_WRITE: begin, and do not wait for the end


class EarlyWriteback:
    """For the file `fd`, which must stay open until :meth:`close` has returned.

    A hint alone: it makes nothing durable, and where the kernel has no such call
    (sync_file_range(2)) nothing happens.  Costs a short thread every 16 MiB, since
    handing pages to the disk takes time that the writer has better use for.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._begun = 0
        self._thread: threading.Thread | None = None

    def reached(self, offset: int) -> None:
        """All bytes before `offset` are written to the file."""
        if offset - self._begun < STEP:
            return
        if self._thread is not None and self._thread.is_alive():
            return  # the disk is slower: the next time takes more at once
        begin, self._begun = self._begun, offset
        self._thread = threading.Thread(
            target=_begin, args=(self._fd, begin, offset - begin), name="corten-writeback"
        )
        self._thread.start()

    def close(self) -> None:
        """Wait until nothing uses the descriptor any more."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None


def _begin(fd: int, offset: int, size: int) -> None:
    import ctypes  # not needed by commands that write little

    call = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if call is not None:
        call(fd, ctypes.c_int64(offset), ctypes.c_int64(size), _WRITE)
