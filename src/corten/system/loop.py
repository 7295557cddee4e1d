"""Loop devices: a file as a block device, for as long as something uses it."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from pathlib import Path

from corten.errors import Denied, Unavailable

_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_CONFIGURE = 0x4C0A
_READ_ONLY, _AUTOCLEAR = 1, 4
_CONFIG = struct.Struct("<II232s64x")
_ATTEMPTS = 64


def attach(path: str) -> tuple[str, int]:
    """A read-only loop device over the file `path`: its path, and an open descriptor of it.

    The kernel frees the device when the last user of it is gone, the descriptor
    included; the caller closes that after it mounted the device.

    Raises: Denied: no rights to loop devices; Unavailable: there is none.
    """
    try:
        backing = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
            try:
                return _attach(control, backing)
            finally:
                os.close(control)
        finally:
            os.close(backing)
    except PermissionError as error:
        raise Denied(f"cannot make a loop device for {path}: {error.strerror}") from error
    except OSError as error:
        raise Unavailable(f"cannot make a loop device for {path}: {error.strerror}") from error


def _attach(control: int, backing: int) -> tuple[str, int]:
    information = bytearray(232)
    struct.pack_into("<I", information, 52, _READ_ONLY | _AUTOCLEAR)  # lo_flags
    request = _CONFIG.pack(backing, 0, bytes(information))
    for _ in range(_ATTEMPTS):
        number = fcntl.ioctl(control, _LOOP_CTL_GET_FREE)
        device = f"/dev/loop{number}"
        if not Path(device).exists():
            os.mknod(device, 0o060660, os.makedev(7, number))
        fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(fd, _LOOP_CONFIGURE, request)
        except OSError as error:
            os.close(fd)
            if error.errno != errno.EBUSY:  # somebody else was faster
                raise
            continue
        return device, fd
    raise OSError(errno.EBUSY, "every loop device is taken")
