"""Changes of a tree, as hypothesis draws them, made on a real mount the way programs make them."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import struct
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from hypothesis import strategies as st

NAMES = (b"a", b"b", b"c", b"new\nline", b"\xff\xfe", b"long" * 50)
_acl = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry)
    for entry in (
        (0x01, 6, 0xFFFFFFFF),
        (0x02, 4, 1000),
        (0x04, 4, 0xFFFFFFFF),
        (0x10, 5, 0xFFFFFFFF),
        (0x20, 0, 0xFFFFFFFF),
    )
)
_CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
_KEYS = ("user.one", "user.a=b%3D", "trusted.two", "security.capability")

Change = tuple[str, int, int, int, int]
"""What to do, which of the files that are there, in which directory something new shall be and
which of the names it gets, and a number that varies it."""


def _write(place: bytes, _: bytes, number: int) -> None:
    _needs(place, stat.S_IFREG, missing=True)
    with open(place, "wb") as file:
        file.write(b"%d" % number * (number * 300))


def _append(place: bytes, _: bytes, number: int) -> None:
    _needs(place, stat.S_IFREG)
    with open(place, "ab") as file:
        file.write(b"+%d" % number)


def _truncate(place: bytes, _: bytes, number: int) -> None:
    _needs(place, stat.S_IFREG)
    os.truncate(place, number * 1000)


def _hole(place: bytes, _: bytes, number: int) -> None:
    _needs(place, stat.S_IFREG, missing=True)
    with open(place, "wb") as file:
        for at in range(number):
            file.seek(at * 9_000_000 + at)
            file.write(b"data")
        file.truncate(20_000_000 * (1 + number // 5))


def _chmod(place: bytes, _: bytes, number: int) -> None:
    _needs(place)
    Path(os.fsdecode(place)).chmod((0o600, 0o755, 0o4755, 0o2711, 0o1777)[number % 5])


def _chown(place: bytes, _: bytes, number: int) -> None:
    os.chown(place, number * 700_000, number, follow_symlinks=False)


def _utime(place: bytes, _: bytes, number: int) -> None:
    when = -1_500_000_001 if number == 9 else number * 1_234_567_891
    os.utime(place, ns=(0, when), follow_symlinks=False)


def _setxattr(place: bytes, _: bytes, number: int) -> None:
    key = _KEYS[number % 4]
    value = _CAPABILITY if key.startswith("security") else b"\0v\n%d" % number
    os.setxattr(place, key, value, follow_symlinks=False)


def _removexattr(place: bytes, _: bytes, number: int) -> None:
    os.removexattr(place, _KEYS[number % 4], follow_symlinks=False)


def _set_acl(place: bytes, _: bytes, number: int) -> None:
    _needs(place)
    # overlayfs has no lists for files of a lower file system that cannot take any (EROFS),
    # until they are copied up.
    Path(os.fsdecode(place)).chmod(stat.S_IMODE(os.lstat(place).st_mode))
    key = "system.posix_acl_default" if number % 2 else "system.posix_acl_access"
    os.setxattr(place, key, _acl)


def _move(place: bytes, other: bytes, _: int) -> None:
    """As mv does it: where a directory cannot be renamed, it is copied and removed."""
    try:
        os.rename(place, other)  # noqa: PTH104
    except OSError as error:
        if error.errno != errno.EXDEV or other.startswith(place + b"/"):
            raise
        subprocess.run([b"mv", b"-T", place, other], check=False, capture_output=True)


def _link(place: bytes, other: bytes, _: int) -> None:
    os.link(place, other, follow_symlinks=False)


def _symlink(place: bytes, other: bytes, _: int) -> None:
    os.symlink(other, place)  # noqa: PTH211


def _special(place: bytes, _: bytes, number: int) -> None:
    kind = (stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK)[number % 3]
    os.mknod(place, kind | 0o640, os.makedev(1 + number, 300 + number))


def _mkdir(place: bytes, _: bytes, number: int) -> None:
    os.makedirs(place, mode=(0o755, 0o700, 0o1777)[number % 3])  # noqa: PTH103


def _remove(place: bytes, _: bytes, __: int) -> None:
    if stat.S_ISDIR(os.lstat(place).st_mode):
        shutil.rmtree(place)
    else:
        os.unlink(place)  # noqa: PTH108


def _empty(place: bytes, _: bytes, number: int) -> None:
    """An opaque directory: removed and made anew, with something in it."""
    _remove(place, b"", 0)
    _mkdir(place, b"", number)
    _write(place + b"/" + NAMES[number % len(NAMES)], b"", number)


def _replace(place: bytes, other: bytes, number: int) -> None:
    """Removed, and another kind of file under the name."""
    _remove(place, b"", 0)
    (_write, _symlink, _special, _mkdir)[number % 4](place, other, number)


def _needs(place: bytes, kind: int = 0, *, missing: bool = False) -> None:
    """Leave alone what would block (a pipe) or lead elsewhere (a symlink)."""
    try:
        found = stat.S_IFMT(os.lstat(place).st_mode)
    except FileNotFoundError:
        if missing:
            return
        raise
    if found != kind and (kind or found == stat.S_IFLNK):
        raise OSError(errno.EINVAL, "of another kind")


_DOING: dict[str, Callable[[bytes, bytes, int], None]] = {
    "write": _write,
    "append": _append,
    "truncate": _truncate,
    "hole": _hole,
    "chmod": _chmod,
    "chown": _chown,
    "utime": _utime,
    "setxattr": _setxattr,
    "removexattr": _removexattr,
    "acl": _set_acl,
    "move": _move,
    "link": _link,
    "symlink": _symlink,
    "special": _special,
    "mkdir": _mkdir,
    "remove": _remove,
    "empty": _empty,
    "replace": _replace,
}

_MAKING = ("write", "hole", "symlink", "special", "mkdir")
_many = st.integers(0, 9999)

changes: st.SearchStrategy[list[Change]] = st.lists(
    st.tuples(
        st.sampled_from(sorted(_DOING)),
        _many,
        _many,
        st.integers(0, len(NAMES) - 1),
        st.integers(0, 9),
    ),
    min_size=6,
    max_size=25,
)
"""Changes in an order; those that cannot be made where they come are passed over."""


def make_changes(tree: Path, wanted: Sequence[Change], skip: frozenset[bytes]) -> int:
    """Make changes below `tree` and not in `skip`; returns how many could be made."""
    root = os.fsencode(tree)
    made = 0
    for what, which, where, name, number in wanted:
        files, directories = _listed(root, skip)
        new = directories[where % len(directories)] + b"/" + NAMES[name]
        there = files[which % len(files)] if files else new
        # Half of what makes a file takes a name that is there, half a new one.
        place = new if what in _MAKING and which % 2 else there
        other = new[len(root) :] if what in ("symlink", "replace") else new
        try:
            _DOING[what](place, other, number)
        except (OSError, shutil.Error):
            continue
        made += 1
    return made


def _listed(root: bytes, skip: frozenset[bytes]) -> tuple[list[bytes], list[bytes]]:
    """All files below `root`, and the directories with it among them."""
    files: list[bytes] = []
    directories = [root]
    for place in directories:
        for name in sorted(os.listdir(place)):  # noqa: PTH208
            if place == root and name in skip:
                continue
            full = place + b"/" + name
            files.append(full)
            if stat.S_ISDIR(os.lstat(full).st_mode) and full.count(b"/") < root.count(b"/") + 5:
                directories.append(full)
    return files, directories
