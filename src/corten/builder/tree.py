"""A directory tree seen from inside: links are followed as a process would whose root it is.

One class for the build context, for the tree that COPY --from takes from, and
for what lies below a new layer.  Paths are relative, without a leading slash;
``""`` is the root.  Nothing outside can be reached.
"""

from __future__ import annotations

import os
import stat
import sys
from types import TracebackType
from typing import NamedTuple, Self

from corten.dockerfile.ignore import Ignore
from corten.dockerfile.patterns import compile_match, has_magic
from corten.errors import Invalid
from corten.runtime.users import open_in_root
from corten.system.xattr import layer_attributes, read_xattrs

_LINKS = 40
ENCODING, SURROGATES = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()


def encoded(name: str) -> bytes:
    """As `os.fsencode` does it, in a third of the time: it is asked for several times a file."""
    return name.encode(ENCODING, SURROGATES)


class Found(NamedTuple):
    """Something that a source names: its name for the destination, its real path, its state."""

    name: str
    path: str
    state: os.stat_result


class Tree:
    """The tree under the directory `fd`, which it closes.  A context manager.

    What `ignore` leaves out is as if it were not there; `label` names the tree in messages.
    """

    def __init__(self, fd: int, ignore: Ignore | None = None, label: str = "") -> None:
        self.fd = fd
        self.label = label
        self.ignore = ignore or None

    def left_out(self, path: str) -> bool:
        """Whether the ignore file leaves `path` out."""
        return self.ignore is not None and self.ignore.matches(path)

    def may_keep_below(self, path: str) -> bool:
        """Whether something under `path`, which is left out, may be in nevertheless."""
        return self.ignore is not None and self.ignore.may_keep_below(path)

    def state(self, path: str) -> os.stat_result | None:
        """What is at `path`, whose parents are no links; a link is not followed.

        A directory that is left out shows where something in it may not be.
        """
        left_out = bool(path) and self.left_out(path)
        if left_out and not self.may_keep_below(path):
            return None
        try:
            state = os.stat(path or ".", dir_fd=self.fd, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise Invalid(f"cannot look at {path!r} in {self.label}: {error}") from None
        return None if left_out and not stat.S_ISDIR(state.st_mode) else state

    def attributes(self, path: str) -> dict[str, bytes]:
        """The extended attributes of what is at `path`, as far as a layer keeps them."""
        place = os.fsencode(f"/proc/self/fd/{self.fd}/{path}")
        try:
            return layer_attributes(read_xattrs(place))
        except OSError as error:
            raise Invalid(f"cannot look at {path!r} in {self.label}: {error}") from None

    def resolve(self, path: str, follow: bool = True) -> str:
        """The path without links, ``.`` and ``..``; what is missing stays as it is.

        The last component is followed too where `follow` is true.  Raises:
        Invalid: links in a circle.
        """
        done: list[str] = []
        waiting = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        links = 0
        while waiting:
            part = waiting.pop()
            if part == ".":
                continue
            if part == "..":
                if done:
                    done.pop()
                continue
            done.append(part)
            if not waiting and not follow:
                break
            here = "/".join(done)
            state = self.state(here)
            if state is None or not stat.S_ISLNK(state.st_mode):
                continue
            links += 1
            if links > _LINKS:
                raise Invalid(f"{path!r} in {self.label}: symbolic links in a circle")
            target = self.link(here)
            done = [] if target.startswith("/") else done[:-1]
            waiting += [p for p in reversed(target.split("/")) if p not in ("", ".")]
        return "/".join(done)

    def link(self, path: str) -> str:
        """Where a symbolic link points."""
        return os.readlink(path, dir_fd=self.fd)

    def open(self, path: str, flags: int = os.O_RDONLY) -> int:
        """A descriptor of what is at `path`.  Raises: OSError."""
        return open_in_root(self.fd, path or ".", flags | os.O_NOFOLLOW | os.O_NONBLOCK)

    def names(self, path: str) -> list[str]:
        """Names in a directory, by bytes."""
        fd = self.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with os.scandir(fd) as entries:
                return sorted((entry.name for entry in entries), key=os.fsencode)
        finally:
            os.close(fd)

    def find(self, pattern: str) -> list[Found]:
        """What a source path or pattern names, in order of names.

        A link is followed, inside the tree.  Empty: nothing.
        Spec: Dockerfile reference, "Pattern matching".  Raises: Invalid, PatternError.
        """
        parts = [part for part in pattern.split("/") if part not in ("", ".")]
        places = [("", "")]
        for number, part in enumerate(parts):
            if not has_magic(part):
                places = [(f"{base}/{part}".lstrip("/"), part) for base, _ in places]
                continue
            match = compile_match(part).fullmatch
            last = number == len(parts) - 1
            found = []
            for base, _ in places:
                folder = self._directory(base)
                if folder is None:
                    continue
                for name in self.names(folder):
                    path = f"{folder}/{name}".lstrip("/")
                    if match(name) and (last or self.state(path) is not None):
                        found.append((path, name))
            places = found
        by_pattern = bool(parts) and has_magic(parts[-1])
        results = []
        for path, name in places:
            found_here = self._target(path, name, by_pattern)
            if found_here is not None:
                results.append(found_here)
        return results

    def _directory(self, path: str) -> str | None:
        """The real path of a directory; None: there is none."""
        try:
            real = self.resolve(path)
        except Invalid:
            return None
        state = self.state(real)
        return real if state is not None and stat.S_ISDIR(state.st_mode) else None

    def _target(self, path: str, name: str, by_pattern: bool) -> Found | None:
        """What is at `path`; a link that a pattern found and that leads nowhere is itself meant."""
        try:
            real = self.resolve(path)
            state = self.state(real)
        except Invalid:
            if not by_pattern:
                raise
            state = None
        if state is None and by_pattern:
            real, state = path, self.state(path)
        return Found(name, real, state) if state is not None else None

    def close(self) -> None:
        """Close the descriptor."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_tree(path: str | os.PathLike[str], ignore: Ignore | None = None, label: str = "") -> Tree:
    """The tree under a directory of this machine.  Raises: OSError."""
    return Tree(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), ignore, label)
