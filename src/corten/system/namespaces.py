"""Mount namespaces of single threads.

unshare(2) changes the namespace of the calling thread alone.  A thread that is
started for it can so get mounts of its own, start a program that inherits them,
and end: when the last process in the namespace ends, its mounts are gone.
Nothing can stay mounted, whatever is killed, and no helper process is needed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from corten.errors import CortenError, Denied, Unsupported
from corten.system.cgroup import hybrid_trees
from corten.system.mount import MS_NODEV, MS_NOEXEC, MS_NOSUID, make_private, mount

CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000

T = TypeVar("T")

_libc = ctypes.CDLL(None, use_errno=True)


def in_private_mounts(work: Callable[[], T]) -> T:
    """Run `work` in a new thread whose mount namespace is its own; returns its result.

    Processes that `work` starts inherit the namespace and keep it alive.  Its
    mounts do not spread to the host; mounts that the host makes later do not
    come in.  On a hybrid control group arrangement the version 2 tree is not
    there, so that crun finds a plain version 1 arrangement.

    Raises: what `work` raises; Denied: no right to have a mount namespace.
    """
    thread = _Thread(work)
    thread.start()
    thread.join()
    return thread.outcome()


def hide_hybrid_cgroups() -> None:
    """Take away version 2 control groups under version 1, in this thread's mount namespace.

    An empty file system of our own takes their place: crun makes directories
    there, which without it would stay in the host's.
    """
    for path in hybrid_trees():
        mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755,size=1m")


class _Thread(threading.Thread, Generic[T]):
    def __init__(self, work: Callable[[], T]) -> None:
        super().__init__(name="corten-mounts")
        self._work = work
        self._result: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            _unshare_mounts()
            hide_hybrid_cgroups()
            self._result.append(self._work())
        except BaseException as error:
            self._error = error

    def outcome(self) -> T:
        if self._error is not None:
            raise self._error
        return self._result[0]


def _unshare_mounts() -> None:
    # Python's threads share root and working directory (CLONE_FS), which a
    # thread must give up before it may have mounts of its own.
    if _libc.unshare(CLONE_FS | CLONE_NEWNS) != 0:
        raise _refused(ctypes.get_errno())
    make_private()


def _refused(number: int) -> CortenError:
    message = f"cannot make a mount namespace: {os.strerror(number)}"
    if number in {errno.EPERM, errno.EACCES}:
        return Denied(message, hint="run corten as root")
    return Unsupported(message)
