"""Where the mounts of a build step go: inside its tree, and without a trace in its layer.

A target's links are followed in the tree, as a process there would.  What is missing is made
in a directory that is laid over the tree's layers, below its writable directory: a layer that
deletes a directory cannot hide it, and the writable directory stays empty.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from corten.errors import Invalid
from corten.runtime.protocols import Bind
from corten.runtime.users import open_in_root
from corten.snapshot.mounting import mount_all
from corten.snapshot.protocols import Mount
from corten.snapshot.skeleton import overlay, read_only
from corten.system.xattr import layer_attributes, read_xattrs

APART = ("/dev", "/proc", "/sys")
"""File systems of their own in every container: nothing there is in a layer."""
_LINKS = 40


def is_apart(target: str) -> bool:
    """Whether a target is on a file system that no layer holds."""
    return any(target == top or target.startswith(f"{top}/") for top in APART)


def assemble_with(
    mounts: Sequence[Mount], root: Path, binds: Sequence[Bind], folder: Path
) -> tuple[Bind, ...]:
    """Make `mounts` at `root` with a place for each of `binds`; the binds with real targets.

    The empty directory `folder` becomes part of the tree.  Raises: Invalid: a target that
    something else is in the way of.
    """
    # A look at the layers alone.  It stays below the tree: what another thread starts at this
    # moment has a copy of the descriptor, and nothing could be unmounted.
    nothing = folder.with_name(f"{folder.name}-before")
    nothing.mkdir()
    mount_all(read_only(overlay(mounts, nothing)), root)
    tree = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        settled = [_settled(tree, bind) for bind in binds]
        stubs = _Stubs(tree, folder)
        targets = {bind.target for bind in settled}
        for bind in settled:
            if not is_apart(bind.target) and not _within(bind.target, targets):
                stubs.make(bind)
    finally:
        os.close(tree)
    mounts = overlay(mounts, folder) if stubs.count else mounts
    mount_all([mount for mount in mounts if not mount.target], root)
    return tuple(settled)


def _within(target: str, others: set[str]) -> bool:
    """Whether `target` is inside another mount, which has to have a place for it."""
    parent = posixpath.dirname(target)
    while parent != "/":
        if parent in others:
            return True
        parent = posixpath.dirname(parent)
    return False


def _settled(tree: int, bind: Bind) -> Bind:
    """The bind with a target without links."""
    target = os.path.normpath(bind.target)
    return bind if is_apart(target) else msgspec.structs.replace(bind, target=resolve(tree, target))


def resolve(tree: int, path: str) -> str:
    """The absolute `path` without links in the tree; what is missing stays as it is.

    Raises: Invalid: links in a circle, or into a file system that is not the tree's.
    """
    done: list[str] = []
    waiting = [part for part in reversed(path.split("/")) if part not in ("", ".")]
    links = 0
    while waiting:
        part = waiting.pop()
        if part == "..":
            del done[-1:]
            continue
        here = "/".join((*done, part))
        state = _state(tree, here)
        if state is None or not stat.S_ISLNK(state.st_mode):
            done.append(part)
            continue
        links += 1
        if links > _LINKS:
            raise Invalid(f"mount target {path}: symbolic links in a circle in the image")
        fd = open_in_root(tree, here, os.O_PATH | os.O_NOFOLLOW)
        try:
            to = os.readlink("", dir_fd=fd)
        finally:
            os.close(fd)
        if to.startswith("/"):
            done = []
        waiting += [p for p in reversed(to.split("/")) if p not in ("", ".")]
    found = "/" + "/".join(done)
    if found == "/":
        raise Invalid(f"mount target {path} is a link to / in the image")
    return found


def _state(tree: int, path: str) -> os.stat_result | None:
    try:
        fd = open_in_root(tree, path, os.O_PATH | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Invalid(f"mount target /{path}: {error.strerror}") from None
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)


class _Stubs:
    """The directory with what is missing; directories that exist are in it as they are."""

    def __init__(self, tree: int, folder: Path) -> None:
        self._tree = tree
        self._folder = folder
        self._times: list[tuple[Path, os.stat_result]] = []
        self.count = 0

    def make(self, bind: Bind) -> None:
        """A place for one mount."""
        is_file = bind.type == "bind" and not Path(bind.source).is_dir()
        parts = bind.target.strip("/").split("/")
        there = _state(self._tree, "/".join(parts))
        if there is not None:
            if stat.S_ISDIR(there.st_mode) is is_file:
                here, given = (
                    ("a file", "a directory") if not is_file else ("a directory", "a file")
                )
                raise Invalid(f"mount target {bind.target} is {here} in the image, not {given}")
            return
        if not self.count:
            self._like("", self._folder)
        for number in range(1, len(parts)):
            self._directory("/".join(parts[:number]))
        self.count += 1
        place = self._folder.joinpath(*parts)
        if is_file:
            place.touch(mode=0o644)
        else:
            place.mkdir(mode=0o755, exist_ok=True)
        for path, state in reversed(self._times):
            os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))

    def _directory(self, path: str) -> None:
        place = self._folder / path
        if place.is_dir():
            return
        state = _state(self._tree, path)
        if state is not None and not stat.S_ISDIR(state.st_mode):
            raise Invalid(f"/{path} is no directory in the image: nothing can be mounted in it")
        place.mkdir(mode=0o755)
        if state is not None:
            self._like(path, place)

    def _like(self, path: str, place: Path) -> None:
        """Give `place` the owner, mode, times and attributes of the directory `path`."""
        fd = open_in_root(self._tree, path or ".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            state = os.fstat(fd)
            os.chown(place, state.st_uid, state.st_gid)
            place.chmod(stat.S_IMODE(state.st_mode))
            for name, value in layer_attributes(read_xattrs(fd)).items():
                with suppress(OSError):
                    os.setxattr(place, name, value)
        finally:
            os.close(fd)
        self._times.append((place, state))
