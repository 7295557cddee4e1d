"""Mounting, through the system calls themselves.

The ``mount`` program is of no use here: it turns a file into a loop device,
where ``mount(2)`` lets EROFS read the file directly.

Overlays and EROFS are mounted with the newer calls (fsopen, fsconfig, fsmount,
move_mount), which take one layer or device at a time, so that neither their number
nor odd characters in a path matter.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from corten.errors import Conflict, CortenError, Denied, NotFound, Unavailable, Unsupported
from corten.system.loop import attach

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE, MS_SLAVE = 32, 4096, 16384, 1 << 18, 1 << 19
MNT_DETACH = 2

_FLAGS = {
    "ro": MS_RDONLY,
    "nosuid": MS_NOSUID,
    "nodev": MS_NODEV,
    "noexec": MS_NOEXEC,
    "bind": MS_BIND,
    "rbind": MS_BIND | MS_REC,
    "rw": 0,
}
_FSOPEN, _FSCONFIG, _FSMOUNT, _MOVE_MOUNT = 430, 431, 432, 429
_SET_FLAG, _SET_STRING, _CREATE = 0, 1, 6
_CLOEXEC = 1
_FROM_EMPTY_PATH = 4
_AT_FDCWD = -100
_STRING_LIMIT = 255

_libc = ctypes.CDLL(None, use_errno=True)


class NotBacking(Unsupported):
    """A mount of a file that lies where files cannot be mounted: a block device is needed."""


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    """mount(2).  Raises: Denied, NotFound, Conflict, Unsupported, Unavailable, by errno."""
    result = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        os.fsencode(data) if data else None,
    )
    if result != 0:
        raise mount_error(ctypes.get_errno(), f"cannot mount {kind or source} on {target}")


def unmount(target: str, *, detach: bool = False) -> None:
    """umount2(2); with `detach` it also goes while in use, once the last user is gone.

    Raises: as :func:`mount`; Conflict: it is in use.
    """
    if _libc.umount2(os.fsencode(target), ctypes.c_int(MNT_DETACH if detach else 0)) != 0:
        raise mount_error(ctypes.get_errno(), f"cannot unmount {target}")


def mount_error(number: int, doing: str) -> CortenError:
    """The error for a failed mount call."""
    message = f"{doing}: {os.strerror(number)}"
    match number:
        case errno.EPERM | errno.EACCES:
            return Denied(message, hint="mounting needs root (CAP_SYS_ADMIN)")
        case errno.ENOENT | errno.ENOTDIR:
            return NotFound(message)
        case errno.EBUSY:
            return Conflict(message)
        case errno.ENOTBLK:
            return NotBacking(message, hint="choose a root directory on another file system")
        case errno.ENODEV | errno.ENOSYS | errno.EOPNOTSUPP:
            return Unsupported(message, hint="this kernel lacks the file system")
        case errno.EINVAL:
            return Unsupported(message, hint="the kernel's log (dmesg) says why")
    return Unavailable(message)


def try_file_system(kind: str, source: str = "", devices: Sequence[str] = ()) -> bool:
    """Whether the kernel takes file system `kind`, tried without mounting it anywhere.

    With a `source` (and further `devices`) it is really opened.  Returns whether
    it had to go through loop devices.  Raises: as :func:`mount`.
    """
    doing = f"cannot use {kind}"
    if not source:
        with _Context(kind, doing):
            return False
    options = [f"device={path}" for path in devices]
    try:
        with _Context(kind, doing) as context:
            context.create(MS_RDONLY, source, options)
        return False
    except NotBacking:
        with _looped(source, options) as (device, through), _Context(kind, doing) as context:
            context.create(MS_RDONLY, device, through)
        return True


def make_private() -> None:
    """Let no mount made from now on in this mount namespace spread to others, or from them."""
    mount("none", "/", "", MS_REC | MS_PRIVATE)


def mount_options(kind: str, source: str, target: str, options: Sequence[str]) -> None:
    """Mount by type, source and a list of options as ``/etc/fstab`` has them.

    ``bind`` is made read-only by a second call where ``ro`` is among the options;
    ``erofs`` over files falls back to loop devices where the file system below
    cannot back a mount; ``overlay`` takes any number of ``lowerdir+=``.

    Raises: as :func:`mount`.
    """
    flags, rest = _split_options(options)
    if kind == "bind" or flags & MS_BIND:
        _bind(source, target, flags | MS_BIND)
    elif kind == "erofs":
        _mount_erofs(source, target, flags | MS_RDONLY, rest)
    elif kind == "overlay":
        _mount_new(kind, "overlay", target, flags, rest, f"cannot mount overlay on {target}")
    else:
        mount(source, target, kind, flags, ",".join(rest))


def _split_options(options: Sequence[str]) -> tuple[int, list[str]]:
    flags, rest = 0, []
    for option in options:
        if option in _FLAGS:
            flags |= _FLAGS[option]
        else:
            rest.append(option)
    return flags, rest


def _bind(source: str, target: str, flags: int) -> None:
    mount(source, target, "", flags & (MS_BIND | MS_REC))
    extra = flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
    if extra:
        try:
            mount("none", target, "", MS_REMOUNT | MS_BIND | extra)
        except CortenError:
            unmount(target, detach=True)
            raise


def _mount_erofs(source: str, target: str, flags: int, options: Sequence[str]) -> None:
    doing = f"cannot mount {source} on {target}"
    try:
        _mount_new("erofs", source, target, flags, options, doing)
    except NotBacking:
        if not stat.S_ISREG(Path(source).stat().st_mode):
            raise
        with _looped(source, options) as (device, through):
            _mount_new("erofs", device, target, flags, through, doing)


@contextmanager
def _looped(source: str, options: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """`source`, and the devices among `options`, as read-only loop devices for the block.

    For tmpfs, overlayfs and others, which cannot back a mount by file.  The kernel
    frees a device when the mount, its last user, goes.
    """
    opened: list[int] = []
    try:
        through = []
        device, fd = attach(source)
        opened.append(fd)
        for option in options:
            key, equals, value = option.partition("=")
            if key == "device" and equals:
                value, fd = attach(value)
                opened.append(fd)
            through.append(f"{key}{equals}{value}")
        yield device, through
    finally:
        for fd in opened:
            os.close(fd)


def _mount_new(
    kind: str, source: str, target: str, flags: int, options: Sequence[str], doing: str
) -> None:
    with _Context(kind, doing) as context:
        context.create(flags, source, options)
        context.mount(flags, target)


class _Context:
    """A file system being configured: fsopen, fsconfig, fsmount.

    Every option is a call of its own, so no number of them is too many (the data of
    mount(2) are one page) and no character in them matters.  `doing` begins messages.
    """

    def __init__(self, kind: str, doing: str) -> None:
        self._doing = doing
        self._descriptors: list[int] = []
        self._context = self._opened(
            _syscall(_FSOPEN, kind.encode(), ctypes.c_uint(_CLOEXEC)), explain=False
        )
        # What the value of such an option names may be taken apart at these.
        self._special = set(":\\,") if kind == "overlay" else set()

    def create(self, flags: int, source: str, options: Sequence[str]) -> None:
        """Open the file system.  Raises: as :func:`mount`, with what the kernel wrote about it."""
        self._configure("source", source)
        if flags & MS_RDONLY:
            self._configure("ro", None)
        for option in options:
            key, equals, value = option.partition("=")
            self._configure(key, value if equals else None)
        if _syscall(_FSCONFIG, self._context, ctypes.c_uint(_CREATE), None, None, 0) < 0:
            raise self._explained()

    def mount(self, flags: int, target: str) -> None:
        """Put it at `target`.  Raises: as :func:`mount`."""
        attributes = flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
        made = self._opened(
            _syscall(_FSMOUNT, self._context, ctypes.c_uint(_CLOEXEC), ctypes.c_uint(attributes))
        )
        empty = ctypes.c_uint(_FROM_EMPTY_PATH)
        if _syscall(_MOVE_MOUNT, made, b"", _AT_FDCWD, os.fsencode(target), empty) < 0:
            raise mount_error(ctypes.get_errno(), self._doing)

    def _configure(self, key: str, value: str | None) -> None:
        command, raw = _SET_FLAG, None
        if value is not None:
            if len(os.fsencode(value)) > _STRING_LIMIT or self._special & set(value):
                # A short stand-in for a path that is too long or would be taken apart.
                try:
                    fd = os.open(value, os.O_PATH | os.O_CLOEXEC)
                except OSError as error:
                    number = error.errno or errno.EINVAL
                    raise mount_error(number, f"{self._doing}: {value}") from error
                self._descriptors.append(fd)
                value = f"/proc/self/fd/{fd}"
            command, raw = _SET_STRING, os.fsencode(value)
        if _syscall(_FSCONFIG, self._context, ctypes.c_uint(command), key.encode(), raw, 0) < 0:
            raise self._explained(f": {key}={value or ''}")

    def _opened(self, fd: int, *, explain: bool = True) -> int:
        """Keep a descriptor that a call returned until the end.  Raises: if it is none."""
        if fd < 0:
            raise self._explained() if explain else mount_error(ctypes.get_errno(), self._doing)
        self._descriptors.append(fd)
        return fd

    def _explained(self, more: str = "") -> CortenError:
        """The error of the last call, with what the kernel wrote to the context."""
        number = ctypes.get_errno()
        texts = []
        while True:
            try:
                text = os.read(self._context, 1024).decode(errors="replace").strip()
            except OSError:
                break
            texts.append(text.partition(" ")[2])
        return mount_error(number, "; ".join([self._doing + more, *texts]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for fd in reversed(self._descriptors):
            os.close(fd)


def _syscall(number: int, *arguments: object) -> int:
    return int(_libc.syscall(ctypes.c_long(number), *arguments))
