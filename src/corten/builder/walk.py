"""Walking a tree in a fixed order, without ever following a link."""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterator
from operator import attrgetter
from typing import NamedTuple

from corten.builder.tree import Found, Tree
from corten.errors import Invalid

_DEPTH = 256
_name = attrgetter("name")


class Item(NamedTuple):
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
        """A descriptor of a file.  Raises: OSError: also where it became a link."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(self.name, flags, dir_fd=self.fd)

    def link(self) -> str:
        """Where a symbolic link points."""
        return os.readlink(self.name, dir_fd=self.fd)

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


def single(tree: Tree, found: Found) -> Generator[Item, None, None]:
    """One thing that is no directory; its path is its name."""
    parent, _, name = found.path.rpartition("/")
    fd = tree.open(parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield Item(found.name, found.path, name, fd, found.state)
    finally:
        os.close(fd)


def walk(tree: Tree, root: str) -> Generator[Item, None, None]:
    """Everything under the directory `root`, parents first, names in order of bytes.

    A directory that is left out shows all the same where something in it is not.
    Raises: Invalid: directories nested too deeply.
    """
    open_fds: list[int] = []
    try:
        open_fds.append(tree.open(root, os.O_RDONLY | os.O_DIRECTORY))
        stack = [_entries(open_fds[-1])]
        prefixes = [""]
        waiting: list[list[Item]] = [[]]
        while stack:
            entry = next(stack[-1], None)
            if entry is None:
                stack.pop()
                prefixes.pop()
                waiting.pop()
                os.close(open_fds.pop())
                continue
            path = f"{prefixes[-1]}{entry.name}"
            source = f"{root}/{path}" if root else path
            item = Item(path, source, entry.name, open_fds[-1], entry.stat(follow_symlinks=False))
            left_out = tree.ignore is not None and tree.ignore.matches(source)
            if not left_out:
                # A parent that is left out itself is needed now.
                for parents in waiting:
                    yield from parents
                    parents.clear()
                yield item
            elif not item.is_directory or not tree.may_keep_below(source):
                continue
            if item.is_directory:
                if len(stack) >= _DEPTH:
                    raise Invalid(f"{source[:80]}… is nested more than {_DEPTH} directories deep")
                fd = os.open(
                    entry.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=item.fd
                )
                open_fds.append(fd)
                stack.append(_entries(fd))
                prefixes.append(f"{path}/")
                waiting.append([item] if left_out else [])
    finally:
        for fd in open_fds:
            os.close(fd)


def _entries(fd: int) -> Iterator[os.DirEntry[str]]:
    with os.scandir(fd) as entries:
        found = list(entries)
    # ASCII sorts as its bytes do.
    plain = all(entry.name.isascii() for entry in found)
    return iter(sorted(found, key=_name if plain else _encoded_name))


def _encoded_name(entry: os.DirEntry[str]) -> bytes:
    return os.fsencode(entry.name)
