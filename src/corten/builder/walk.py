"""Walking a tree in a fixed order, without ever following a link."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator, Iterator
from typing import Protocol

import msgspec

from corten.builder.tree import Found, Tree
from corten.errors import Conflict, CortenError, Denied, Invalid

_DEPTH = 256
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHANGED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL, errno.ENXIO, errno.ESTALE)


class LeavesOut(Protocol):
    """Decides what a walk leaves out, by paths from the tree's root."""

    def matches(self, path: str, /) -> bool:
        """Whether `path` is left out."""

    def may_keep_below(self, directory: str, /) -> bool:
        """Whether something under `directory`, which is left out, may be in nevertheless."""


class Item(msgspec.Struct, frozen=True, gc=False):
    """Something found.  ``fd`` is its directory, open only until the next item is asked for.

    ``path`` is relative to where the walk began, ``source`` to the tree's root.
    """

    path: str
    source: str
    name: str
    fd: int
    state: os.stat_result

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.state.st_mode)

    def open(self) -> int:
        """A descriptor of a file.  Raises: as `unreadable`: also where it became a link."""
        try:
            return os.open(self.name, _READ, dir_fd=self.fd)
        except OSError as error:
            raise unreadable(self.source, error) from None

    def link(self) -> str:
        """Where a symbolic link points.  Raises: as `unreadable`."""
        try:
            return os.readlink(self.name, dir_fd=self.fd)
        except OSError as error:
            raise unreadable(self.source, error) from None

    def attributes(self) -> dict[str, bytes]:
        """Extended attributes that belong to the file: capabilities, and the user's own."""
        path = f"/proc/self/fd/{self.fd}/{self.name}"
        try:
            names = os.listxattr(path, follow_symlinks=False)
            return {
                name: os.getxattr(path, name, follow_symlinks=False)
                for name in sorted(names)
                if name == "security.capability" or name.startswith("user.")
            }
        except OSError:
            return {}


def unreadable(source: str, error: OSError) -> CortenError:
    """What to raise for a source that was listed and cannot be read.

    Conflict: it is gone or something else by now; Denied; Invalid: any other reason.
    """
    if error.errno in _CHANGED:
        return Conflict(f"{source} changed while it was copied", hint="build again")
    if isinstance(error, PermissionError):
        return Denied(f"{source} cannot be read: {error.strerror}")
    return Invalid(f"{source} cannot be read: {error.strerror}")


def single(tree: Tree, found: Found) -> Generator[Item, None, None]:
    """One thing that is no directory; its path is its name."""
    parent, _, name = found.path.rpartition("/")
    fd = tree.open(parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield Item(found.name, found.path, name, fd, found.state)
    finally:
        os.close(fd)


def walk(tree: Tree, root: str, leaves_out: LeavesOut | None = None) -> Generator[Item, None, None]:
    """Everything under the directory `root`, parents first, names in order of bytes.

    Without `leaves_out` the tree's ignore file decides.  A directory that is left out shows all the same where something in it is not.
    Raises: Invalid: directories nested too deeply; as `unreadable`.
    """
    open_fds: list[int] = []
    skipped = False
    leaves_out = leaves_out or tree.ignore
    try:
        try:
            open_fds.append(tree.open(root, os.O_RDONLY | os.O_DIRECTORY))
        except OSError as error:
            raise unreadable(root or tree.label, error) from None
        stack = [_sorted_names(open_fds[-1])]
        prefixes = [""]
        waiting: list[list[Item]] = [[]]
        while stack:
            name = next(stack[-1], None)
            if name is None:
                stack.pop()
                prefixes.pop()
                waiting.pop()
                os.close(open_fds.pop())
                continue
            path = prefixes[-1] + name
            source = f"{root}/{path}" if root else path
            try:
                state = os.stat(name, dir_fd=open_fds[-1], follow_symlinks=False)
            except OSError as error:
                raise unreadable(source, error) from None
            item = Item(path, source, name, open_fds[-1], state)
            left_out = leaves_out is not None and leaves_out.matches(source)
            if not left_out:
                if skipped:
                    # A parent that is left out itself is needed now.
                    for parents in waiting:
                        yield from parents
                        parents.clear()
                    skipped = False
                yield item
            elif not item.is_directory or not (leaves_out and leaves_out.may_keep_below(source)):
                continue
            if stat.S_ISDIR(state.st_mode):
                if len(stack) >= _DEPTH:
                    raise Invalid(f"{source[:80]}… is nested more than {_DEPTH} directories deep")
                try:
                    open_fds.append(os.open(name, _READ | os.O_DIRECTORY, dir_fd=item.fd))
                except OSError as error:
                    raise unreadable(source, error) from None
                stack.append(_sorted_names(open_fds[-1]))
                prefixes.append(f"{path}/")
                waiting.append([item] if left_out else [])
                skipped = skipped or left_out
    finally:
        for fd in open_fds:
            os.close(fd)


def count_names(tree: Tree, root: str, limit: int, leaves_out: LeavesOut | None = None) -> int:
    """About how many names are under the directory `root`, quickly: `limit` if there are more."""
    try:
        fd = tree.open(root, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return 0  # a walk tells why
    try:
        prefix = f"{root}/" if root else ""
        return limit - _left(fd, prefix, limit, leaves_out or tree.ignore, _DEPTH)
    finally:
        os.close(fd)


def _left(fd: int, prefix: str, limit: int, leaves_out: LeavesOut | None, depth: int) -> int:
    """What is left of `limit` when the names in a directory are counted, and all below them."""
    with os.scandir(fd) as entries:
        found = list(entries)
    limit -= len(found)
    for entry in found:
        if limit <= 0 or not depth:
            break
        path = prefix + entry.name
        if entry.is_dir(follow_symlinks=False) and not (
            leaves_out is not None
            and leaves_out.matches(path)
            and not leaves_out.may_keep_below(path)
        ):
            try:
                below = os.open(entry.name, _READ | os.O_DIRECTORY, dir_fd=fd)
            except OSError:
                continue
            try:
                limit = _left(below, f"{path}/", limit, leaves_out, depth - 1)
            finally:
                os.close(below)
    return max(limit, 0)


def _sorted_names(fd: int) -> Iterator[str]:
    names = os.listdir(fd)
    # ASCII sorts as its bytes do.
    names.sort(key=None if "".join(names).isascii() else os.fsencode)
    return iter(names)
