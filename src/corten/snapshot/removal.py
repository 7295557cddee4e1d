"""Removing a tree of any depth, without following anything and with two descriptors at most."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from corten.errors import Conflict, Unavailable

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_Place = tuple[int, int]


def remove_tree(path: Path) -> None:
    """Remove `path` and everything under it; nothing to do if it is not there.

    The standard library's way recurses, and a layer may be deeper than that allows;
    it would also go on into what is mounted inside.

    Raises: Conflict: something is mounted in it, or somebody moved directories
    meanwhile; Unavailable: it cannot be removed.
    """
    try:
        _remove(path)
    except OSError as error:
        raise Unavailable(f"cannot remove {path}: {error.strerror}") from error


def _remove(path: Path) -> None:
    try:
        here = os.open(path, _DIRECTORY)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        path.unlink(missing_ok=True)
        return
    try:
        mount = _mount_id(here)
        places = [_place(here)]
        inner = [_empty(here)]
        names: list[str] = []
        while True:
            if inner[-1]:
                name = inner[-1].pop()
                try:
                    below = os.open(name, _DIRECTORY, dir_fd=here)
                except FileNotFoundError:
                    continue
                os.close(here)
                here = below
                if _mount_id(here) != mount:
                    raise Conflict(f"cannot remove {path}: something is mounted in it")
                names.append(name)
                places.append(_place(here))
                inner.append(_empty(here))
                continue
            inner.pop()
            places.pop()
            if not names:
                break
            above = os.open("..", _DIRECTORY, dir_fd=here)
            os.close(here)
            here = above
            if _place(here) != places[-1]:
                raise Conflict(f"{path} is being changed while it is removed")
            with suppress(FileNotFoundError):
                os.rmdir(names.pop(), dir_fd=here)
    finally:
        os.close(here)
    with suppress(FileNotFoundError):
        path.rmdir()


def _mount_id(fd: int) -> str:
    # Bind mounts have the same device as what they show: only this tells them apart.
    text = Path(f"/proc/self/fdinfo/{fd}").read_text()
    return text.partition("mnt_id:")[2].partition("\n")[0]


def _place(fd: int) -> _Place:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _empty(fd: int) -> list[str]:
    """Unlink what is not a directory; returns the names of what is one."""
    inner = []
    with os.scandir(fd) as found:
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                inner.append(entry.name)
            else:
                with suppress(FileNotFoundError):
                    os.unlink(entry.name, dir_fd=fd)
    return inner
