"""What is in a tree of layers, as the members of a tar that holds it would say it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from corten.archive.entry import KINDS, NO_XATTRS, Entry
from corten.archive.holes import find_stretches, is_sparse
from corten.builder.tree import Tree, encoded


class Member(NamedTuple):
    """A member and, of a file with content, its open descriptor: only until the next is asked for."""

    entry: Entry
    fd: int | None = None


class Members:
    """The members of `tree`, each as it is read.  A file with several names is a link to the first."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._first: dict[tuple[int, int], bytes] = {}

    def below(self, path: str = "") -> Iterator[Member]:
        """All that is under the directory `path`, in the order of names, parents first."""
        waiting = [iter(self._tree.names(path))]
        parents = [path]
        while waiting:
            name = next(waiting[-1], None)
            if name is None:
                waiting.pop()
                parents.pop()
                continue
            here = f"{parents[-1]}/{name}".lstrip("/")
            directory = False
            for member in self.at(here):
                directory = member.entry.kind == "directory"
                yield member
            if directory:
                waiting.append(iter(self._tree.names(here)))
                parents.append(here)

    def at(self, path: str) -> Iterator[Member]:
        """The one at `path`, whose parents are no links; none where there is nothing, or a socket."""
        state = self._tree.state(path)
        kind = KINDS.get(stat.S_IFMT(state.st_mode)) if state is not None else None
        if state is None or kind is None:
            return
        device = state.st_rdev if kind in ("char", "block") else 0
        entry = Entry(
            encoded(path),
            kind,
            stat.S_IMODE(state.st_mode),
            state.st_uid,
            state.st_gid,
            state.st_size if kind == "file" else 0,
            state.st_mtime_ns,
            encoded(self._tree.link(path)) if kind == "symlink" else b"",
            os.major(device),
            os.minor(device),
            self._tree.attributes(path) or NO_XATTRS,
        )
        if kind != "directory" and state.st_nlink > 1:
            first = self._first.setdefault((state.st_dev, state.st_ino), entry.name)
            if first != entry.name:
                yield Member(msgspec.structs.replace(entry, kind="link", size=0, linkname=first))
                return
        if kind != "file":
            yield Member(entry)
            return
        fd = self._tree.open(path)
        try:
            if is_sparse(state):
                stretches = find_stretches(fd, state.st_size)
                entry = msgspec.structs.replace(entry, sparse=stretches)
                os.lseek(fd, 0, os.SEEK_SET)
            yield Member(entry, fd)
        finally:
            os.close(fd)
