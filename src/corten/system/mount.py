"""Mounting, through the system calls themselves.

The ``mount`` program is of no use here: it turns a file into a loop device,
where ``mount(2)`` lets EROFS read the file directly.

Overlays are made with the newer calls (fsopen, fsconfig, fsmount, move_mount),
whose ``lowerdir+`` takes one layer at a time, so that neither the number of
layers nor odd characters in a path matter.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

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
        case errno.ENODEV | errno.ENOSYS | errno.EOPNOTSUPP | errno.ENOTBLK:
            return Unsupported(message, hint="this kernel lacks the file system")
        case errno.EINVAL:
            return Unsupported(message, hint="the kernel's log (dmesg) says why")
    return Unavailable(message)


def try_file_system(kind: str, source: str = "", devices: Sequence[str] = ()) -> bool:
    """Whether the kernel takes file system `kind`, tried without mounting it anywhere.

    With a `source` (and further `devices`) it is really opened.  Returns whether
    it had to go through loop devices.  Raises: as :func:`mount`.
    """
    if not source:
        context = _syscall(_FSOPEN, kind.encode(), ctypes.c_uint(_CLOEXEC))
        if context < 0:
            raise mount_error(ctypes.get_errno(), f"cannot use {kind}")
        os.close(context)
        return False
    try:
        _create(kind, source, devices)
    except Unsupported as error:
        if os.strerror(errno.ENOTBLK) not in str(error):
            raise
    else:
        return False
    opened: list[int] = []
    try:
        attached = []
        for path in (source, *devices):
            device, fd = attach(path)
            attached.append(device)
            opened.append(fd)
        _create(kind, attached[0], attached[1:])
    finally:
        for fd in opened:
            os.close(fd)
    return True


def _create(kind: str, source: str, devices: Sequence[str]) -> None:
    """Open a file system read-only and let go of it again."""
    context = _syscall(_FSOPEN, kind.encode(), ctypes.c_uint(_CLOEXEC))
    if context < 0:
        raise mount_error(ctypes.get_errno(), f"cannot use {kind}")
    opened = [context]
    try:
        _configure(context, "ro", None, kind)
        for key, path in (("source", source), *(("device", path) for path in devices)):
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
            opened.append(fd)
            _configure(context, key, f"/proc/self/fd/{fd}", kind)
        if _syscall(_FSCONFIG, context, ctypes.c_uint(_CREATE), None, None, 0) < 0:
            raise _explained(context, f"cannot use {kind}")
    finally:
        for fd in reversed(opened):
            os.close(fd)


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
        _mount_overlay(target, flags, rest)
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


def _mount_erofs(source: str, target: str, flags: int, options: list[str]) -> None:
    doing = f"cannot mount {source} on {target}"
    if any("," in option for option in options):
        raise Unsupported(f"{doing}: a comma in the path", hint="choose another root directory")
    number = _try_mount(source, target, "erofs", flags, ",".join(options))
    if number == 0:
        return
    if number != errno.ENOTBLK or not stat.S_ISREG(Path(source).stat().st_mode):
        raise mount_error(number, doing)
    # tmpfs, overlayfs and others cannot back a mount by file: read-only loop devices, which
    # the kernel frees when the mount, their last user, goes.
    opened: list[int] = []
    try:
        device, fd = attach(source)
        opened.append(fd)
        through = []
        for option in options:
            key, equals, value = option.partition("=")
            if key == "device" and equals:
                value, fd = attach(value)
                opened.append(fd)
            through.append(f"{key}{equals}{value}")
        number = _try_mount(device, target, "erofs", flags, ",".join(through))
        if number:
            raise mount_error(number, doing)
    finally:
        for fd in opened:
            os.close(fd)


def _try_mount(source: str, target: str, kind: str, flags: int, data: str) -> int:
    result = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode(),
        ctypes.c_ulong(flags),
        os.fsencode(data) if data else None,
    )
    return ctypes.get_errno() if result else 0


def _mount_overlay(target: str, flags: int, options: list[str]) -> None:
    opened: list[int] = []
    try:
        context = _syscall(_FSOPEN, b"overlay", ctypes.c_uint(_CLOEXEC))
        if context < 0:
            raise mount_error(ctypes.get_errno(), f"cannot mount overlay on {target}")
        opened.append(context)
        _configure(context, "source", "overlay", target)
        for option in options:
            key, equals, value = option.partition("=")
            if equals and (len(os.fsencode(value)) > _STRING_LIMIT or set(value) & set(":\\,")):
                # A short stand-in for a path that is too long or would be taken apart.
                fd = os.open(value, os.O_PATH | os.O_CLOEXEC)
                opened.append(fd)
                value = f"/proc/self/fd/{fd}"
            _configure(context, key, value if equals else None, target)
        if flags & MS_RDONLY:
            _configure(context, "ro", None, target)
        if _syscall(_FSCONFIG, context, ctypes.c_uint(_CREATE), None, None, 0) < 0:
            raise _explained(context, f"cannot mount overlay on {target}")
        attributes = flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
        made = _syscall(_FSMOUNT, context, ctypes.c_uint(_CLOEXEC), ctypes.c_uint(attributes))
        if made < 0:
            raise mount_error(ctypes.get_errno(), f"cannot mount overlay on {target}")
        opened.append(made)
        where = os.fsencode(target)
        moved = _syscall(_MOVE_MOUNT, made, b"", _AT_FDCWD, where, ctypes.c_uint(_FROM_EMPTY_PATH))
        if moved < 0:
            raise mount_error(ctypes.get_errno(), f"cannot mount overlay on {target}")
    finally:
        for fd in reversed(opened):
            os.close(fd)


def _configure(context: int, key: str, value: str | None, target: str) -> None:
    command = _SET_FLAG if value is None else _SET_STRING
    raw = None if value is None else os.fsencode(value)
    if _syscall(_FSCONFIG, context, ctypes.c_uint(command), key.encode(), raw, 0) < 0:
        raise _explained(context, f"cannot mount on {target}: {key}={value or ''}")


def _explained(context: int, doing: str) -> CortenError:
    """The error of a context, with what the kernel wrote to it."""
    number = ctypes.get_errno()
    texts = []
    while True:
        try:
            text = os.read(context, 1024).decode(errors="replace").strip()
        except OSError:
            break
        texts.append(text.partition(" ")[2])
    return mount_error(number, "; ".join([doing, *texts]))


def _syscall(number: int, *arguments: object) -> int:
    return int(_libc.syscall(ctypes.c_long(number), *arguments))
