"""Bringing a growing file to disk while it grows, so that the wait at its end is short."""

from __future__ import annotations

import os
import threading

STEP = 16 * 1024 * 1024
"""After so many more bytes the disk is asked again."""


class EarlyWriteback:
    """For the file `fd`, which must stay open until :meth:`close` has returned.

    Costs a short thread every `STEP` bytes, which waits so that the writer need not.  Each waits
    for the disk itself (fdatasync(2)): what is only handed over (sync_file_range(2)) may lie in
    another cache below, as that of a loop device, and is waited for at the end.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._begun = 0
        self._thread: threading.Thread | None = None
        self._failure: OSError | None = None

    def reached(self, offset: int) -> None:
        """All bytes before `offset` are written to the file."""
        if offset - self._begun < STEP:
            return
        if self._thread is not None and self._thread.is_alive():
            return  # the disk is slower: the next time takes more at once
        self._begun = offset
        self._thread = threading.Thread(target=self._wait, name="corten-writeback")
        self._thread.start()

    def finish(self) -> None:
        """Wait until all of the file is on disk.

        Raises: OSError: it does not get there, now or earlier (the kernel says so only once).
        """
        self.close()
        if self._failure is not None:
            raise self._failure
        os.fsync(self._fd)

    def close(self) -> None:
        """Wait until nothing uses the descriptor any more."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _wait(self) -> None:
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            self._failure = error
