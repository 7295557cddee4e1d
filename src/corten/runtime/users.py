"""Who a container's process runs as: an image's ``User`` in the image's own files.

``/etc/passwd`` and ``/etc/group`` are hostile: they are opened without leaving
the root (a symbolic link cannot lead out of it) and read up to a limit.

Spec: OCI image, config.md, "User".
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from corten.errors import Invalid, Unsupported

FILE_LIMIT = 4 * 1024 * 1024
MAX_ID = 2**32 - 2
_SYS_OPENAT2 = 437  # The same on every architecture.
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_IN_ROOT = 0x10

_libc = ctypes.CDLL(None, use_errno=True)


class User(NamedTuple):
    """A resolved user: numeric ids, supplementary groups without the first, home directory."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    home: str = "/"
    name: str = ""


class _Account(NamedTuple):
    name: str
    uid: int
    gid: int
    home: str


class _Group(NamedTuple):
    name: str
    gid: int
    members: tuple[str, ...]


def resolve_user(root: int, user: str) -> User:
    """The user that `user` (``name``, ``uid``, ``name:group``, …; empty: root) means.

    `root` is a descriptor of the container's root directory.  A number needs no
    entry; with one it gets the entry's group, else group 0.  Supplementary
    groups are those that list the user, unless a group was given.
    Raises: Invalid: no such user or group, or a number out of range.
    """
    who, _, group = user.partition(":")
    account = _find_account(root, who)
    groups: tuple[int, ...] = ()
    if group:
        gid = _find_group(root, group, user)
    else:
        gid = account.gid
        groups = tuple(
            dict.fromkeys(
                entry.gid
                for entry in _read_groups(root)
                if account.name and account.name in entry.members and entry.gid != gid
            )
        )
    return User(account.uid, gid, groups, account.home or "/", account.name)


def open_in_root(root: int, path: str, flags: int = os.O_RDONLY) -> int:
    """Open `path` as a process whose root directory is `root` would.  Returns a descriptor.

    Links, absolute or with ``..``, are followed but stay inside.  Raises: OSError.
    """
    how = (ctypes.c_uint64 * 3)(flags | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
    fd: int = _libc.syscall(
        ctypes.c_long(_SYS_OPENAT2),
        ctypes.c_int(root),
        os.fsencode(path),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    if fd < 0:
        number = ctypes.get_errno()
        if number == errno.ENOSYS:
            raise Unsupported("openat2(2) is missing", hint="Linux 5.6 or later is needed")
        raise OSError(number, os.strerror(number), path)
    return fd


def _find_account(root: int, who: str) -> _Account:
    number = _number(who) if who else 0
    for account in _read_accounts(root):
        if (who and account.name == who) or (number is not None and account.uid == number):
            return account
    if number is None:
        raise Invalid(
            f"user {who!r} is not in the image's /etc/passwd",
            hint="create it in the image, or give a number",
        )
    return _Account("root" if number == 0 else "", number, 0, "/root" if number == 0 else "/")


def _find_group(root: int, group: str, user: str) -> int:
    for entry in _read_groups(root):
        if entry.name == group:
            return entry.gid
    number = _number(group)
    if number is None:
        raise Invalid(
            f"group {group!r} of user {user!r} is not in the image's /etc/group",
            hint="create it in the image, or give a number",
        )
    return number


def _number(text: str) -> int | None:
    """The id in `text`; None: a name.  Raises: Invalid: out of range."""
    if not (text.isascii() and text.isdigit()):
        return None
    if len(text) > 10 or int(text) > MAX_ID:
        raise Invalid(f"user or group id {text[:20]} is out of range", hint=f"at most {MAX_ID}")
    return int(text)


def _read_accounts(root: int) -> Iterator[_Account]:
    for fields in _lines(root, "etc/passwd"):
        ids = _ids(fields[2:4])
        if len(fields) >= 4 and ids is not None:
            home = fields[5] if len(fields) > 5 and fields[5].startswith("/") else "/"
            yield _Account(fields[0], ids[0], ids[1], home)


def _read_groups(root: int) -> Iterator[_Group]:
    for fields in _lines(root, "etc/group"):
        ids = _ids(fields[2:3])
        if len(fields) >= 3 and ids is not None:
            members = fields[3].split(",") if len(fields) > 3 else []
            yield _Group(fields[0], ids[0], tuple(m.strip() for m in members))


def _ids(fields: list[str]) -> list[int] | None:
    # A line with nonsense in it is skipped, as the C library does.
    try:
        found = [_number(field) for field in fields]
    except Invalid:
        return None
    return None if None in found else [n for n in found if n is not None]


def _lines(root: int, path: str) -> Iterator[list[str]]:
    try:
        # Without O_NONBLOCK a named pipe in the image would hold us for ever.
        fd = open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        return
    with open(fd, "rb") as file:
        text = file.read(FILE_LIMIT).decode("utf-8", "surrogateescape")
    for line in text.split("\n"):
        if line and not line.startswith(("#", "+", "-")):
            yield line.split(":")
