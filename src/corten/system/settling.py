"""Files whose bytes may still be on their way to the disk, and which say so.

What can be made again from something durable need not be waited for: it is written, marked
with this boot of the machine, and left to the kernel.  While the machine runs, everybody
reads it back whole, on disk or not.  After a power cut the mark tells that it has to be
looked at before it is believed.  The mark is an attribute of the file, so that it appears
with it, and goes where its hard links go.  ADR 0013.
"""

from __future__ import annotations

import errno
import functools
import os
from contextlib import suppress
from pathlib import Path

MARK = "user.corten.unsettled"
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_NONE = (errno.ENODATA, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOENT, errno.ENOTDIR)


@functools.cache
def _boot() -> bytes:
    """This boot of the machine; empty where the kernel does not tell."""
    try:
        return Path(_BOOT_ID).read_bytes().strip()
    except OSError:
        return b""


def leave_to_kernel(fd: int) -> None:
    """Mark the complete, unpublished file `fd`; where that cannot be, wait for the disk instead.

    Raises: OSError.
    """
    if boot := _boot():
        try:
            os.setxattr(fd, MARK, boot)
        except OSError:  # no attributes here, or no room for one
            pass
        else:
            return
    os.fsync(fd)


def is_settled(file: int | str | Path) -> bool:
    """Whether the file's bytes are what was written.

    False: it was left to the kernel in an earlier boot, so compare it with its digest, and
    then :func:`settle` or remove it.  A file that is not there has nothing to settle.
    """
    mark = _mark(file)
    return mark is None or mark == _boot()


def is_marked(file: int | str | Path) -> bool:
    """Whether the file was left to the kernel, in this boot or an earlier one."""
    return _mark(file) is not None


def _mark(file: int | str | Path) -> bytes | None:
    try:
        return os.getxattr(file, MARK)
    except OSError as error:
        if error.errno in _NONE:
            return None
        raise


def settle(fd: int) -> None:
    """Wait until the file is on disk, and take its mark off.  Raises: OSError."""
    os.fsync(fd)
    with suppress(OSError):  # where nothing can be written a mark may stay: it costs one more look
        os.removexattr(fd, MARK)
