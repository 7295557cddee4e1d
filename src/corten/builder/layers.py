"""Writing one layer's tar, with an eye on what lies below it.

Directories that exist below stay as they are; missing ones are made.  A layer that
puts something into one that exists repeats it as it is below: other engines extract each
layer by itself, and would give a directory that it does not name a mode and owner of their own.
Paths are relative to the root, without a leading slash; ``""`` is the root.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from typing import Literal, NamedTuple

import msgspec

from corten.archive.entry import Entry
from corten.archive.tar_writer import TarWriter
from corten.builder.tree import Tree, encoded
from corten.errors import Invalid
from corten.runtime.users import resolve_user

_WHITEOUT = b".wh."
_SECOND = 1_000_000_000
_NUMERIC = re.compile(r"\d{1,20}(?::\d{1,20})?", re.ASCII)

Below = Literal["", "directory", "other"]


class Owner(NamedTuple):
    """Numeric user and group."""

    uid: int = 0
    gid: int = 0


ROOT = Owner()


class LayerWriter:
    """A layer in the making.

    `below` is the tree it will lie on, or None: nothing counts as being there.
    `owner` and `time` (Unix seconds) are those of directories that are made on
    the way.  ``newest`` is the newest time of what was put in, ``count`` how many
    entries there are.
    """

    def __init__(
        self,
        write: Callable[[bytes], object],
        below: Tree | None,
        owner: Owner = ROOT,
        time: int = 0,
    ) -> None:
        self._tar = TarWriter(write)
        self._below = below
        self.owner = owner
        self.time = time
        self.newest = 0
        self.count = 0
        # By their bytes, as tar has them: whether it is a directory, which of these are not
        # below, and which have an entry.
        self._made: dict[bytes, bool] = {b"": True}
        self._fresh: set[bytes] = set()
        self._named: set[bytes] = {b""}

    def resolve(self, path: str) -> str:
        """The path that `path` leads to below, links followed; what is missing stays."""
        if self._below is not None:
            return self._below.resolve(path)
        return "/".join(part for part in path.split("/") if part not in ("", "."))

    def below(self, path: str) -> Below:
        """What is at `path` (without links in its parents), in this layer or below it."""
        name = encoded(path)
        if name in self._made:
            return "directory" if self._made[name] else "other"
        if self._below is None or name.rpartition(b"/")[0] in self._fresh:
            return ""
        state = self._below.state(path)
        if state is None:
            return ""
        return "directory" if stat.S_ISDIR(state.st_mode) else "other"

    def directory_link(self, path: str) -> str | None:
        """The directory that a link below at `path` leads to; None: it is no such link."""
        if self._below is None:
            return None
        name = encoded(path)
        if name in self._made or name.rpartition(b"/")[0] in self._fresh:
            return None
        state = self._below.state(path)
        if state is None or not stat.S_ISLNK(state.st_mode):
            return None
        real = self._below.resolve(path)
        target = self._below.state(real)
        return real if target is not None and stat.S_ISDIR(target.st_mode) else None

    def parents(self, path: str) -> None:
        """Make the directories above `path` that are missing.  Raises: Invalid: one is a file."""
        missing = []
        parent = path.rpartition("/")[0]
        while parent and encoded(parent) not in self._made:
            missing.append(parent)
            parent = parent.rpartition("/")[0]
        for each in reversed(missing):
            self._directory(each)

    def directory(self, path: str) -> None:
        """Make a directory and its parents, as far as they are missing.  Raises: Invalid."""
        self.parents(path)
        self._directory(path)

    def _directory(self, path: str) -> None:
        """Make a directory, whose parents are there, if it is missing."""
        there = self.below(path)
        if there == "other":
            raise Invalid(f"/{path} is in the way: it is not a directory")
        if there == "":
            self.put(
                Entry(
                    name=encoded(path),
                    kind="directory",
                    mode=0o755,
                    uid=self.owner.uid,
                    gid=self.owner.gid,
                    mtime_ns=self.time * _SECOND,
                ),
                made_up=True,
            )
        self._made[encoded(path)] = True

    def put_file(self, name: bytes, who: tuple[int, int, int], seconds: int, data: bytes) -> None:
        """As `put` for a file of which there is nothing else to say: `who` are mode, owner, group."""
        made = self._made
        if _WHITEOUT in name or name in made or name.rpartition(b"/")[0] not in self._fresh:
            self.put(Entry(name, "file", *who, len(data), seconds * _SECOND), data)
            return
        made[name] = False
        self._tar.add_file(name, who, seconds, data)
        self.count += 1
        self.newest = max(self.newest, seconds)

    def put(
        self,
        entry: Entry,
        data: bytes | int | None = None,
        *,
        made_up: bool = False,
        replace: bool = False,
        seen: Callable[[bytes], object] | None = None,
    ) -> None:
        """Add an entry, whose parents are made first; for `data` and `seen` see `TarWriter.add`.

        Raises: Invalid: its name is one that layers keep for deletions, or it
        would put a file where a directory is, or the other way round.  Where `replace`
        is true, a directory may take the place of a file below, and a file that of
        an empty directory, as with ``tar -x``.
        """
        name = entry.name
        if _WHITEOUT in name:
            _check_parts(name)
        is_directory = entry.kind == "directory"
        # Where the parent is new, nothing below can be in it: the usual case in a tree.
        if name in self._made or name.rpartition(b"/")[0] not in self._fresh:
            self._settle(name, is_directory, replace)
        elif is_directory:
            self._fresh.add(name)
            self._named.add(name)
        self._made[name] = is_directory
        seconds, fraction = divmod(entry.mtime_ns, _SECOND)
        if fraction:
            entry = msgspec.structs.replace(entry, mtime_ns=seconds * _SECOND)
        self._tar.add(entry, data, seen)
        self.count += 1
        if seconds > self.newest and not made_up:
            self.newest = seconds

    def _settle(self, name: bytes, is_directory: bool, replace: bool) -> None:
        """Whether something may come to `name`, and what must come before it."""
        path = os.fsdecode(name)
        self.parents(path)
        there = self.below(path)
        if replace and there and name not in self._made and self._gives_way(path, there):
            there = ""
        if there == "directory" and not is_directory:
            raise Invalid(f"/{path} is a directory, which a file cannot take the place of")
        if there == "other" and is_directory:
            raise Invalid(f"/{path} is in the way: it is not a directory")
        parent = name.rpartition(b"/")[0]
        if parent not in self._named:
            self._repeat(parent)
        if is_directory:
            self._named.add(name)
            if there == "":
                self._fresh.add(name)

    def _gives_way(self, path: str, there: Below) -> bool:
        """Whether what is below at `path` may be replaced by anything."""
        if there == "other":
            return True
        return self._below is not None and not self._below.names(path)

    def _repeat(self, name: bytes) -> None:
        """Name the directories that lead to `name`, this one too, as they are below."""
        unnamed = []
        while name not in self._named:
            unnamed.append(name)
            name = name.rpartition(b"/")[0]
        for each in reversed(unnamed):
            self._named.add(each)
            path = os.fsdecode(each)
            state = self._below.state(path) if self._below is not None else None
            if self._below is None or state is None:
                continue  # it went away below: a view of layers does not change
            self._tar.add(
                Entry(
                    name=each,
                    kind="directory",
                    mode=stat.S_IMODE(state.st_mode),
                    uid=state.st_uid,
                    gid=state.st_gid,
                    mtime_ns=state.st_mtime_ns,
                    xattrs=self._below.attributes(path),
                )
            )

    def finish(self) -> None:
        """Write the end of the tar."""
        self._tar.finish()


def _check_parts(name: bytes) -> None:
    if any(part.startswith(_WHITEOUT) for part in name.split(b"/")):
        raise Invalid(
            f"{os.fsdecode(name)!r} cannot be put in a layer: "
            f"names beginning with {_WHITEOUT.decode()} mean deletions"
        )


def find_owner(text: str, below: Tree | None) -> Owner:
    """The owner that ``--chown`` means; names are looked up in the tree below.

    A lone user gives the group its own number.  Spec: Dockerfile reference,
    "COPY --chown".  Raises: Invalid: no such user or group.
    """
    if not text:
        return ROOT
    if below is None:
        if not _NUMERIC.fullmatch(text):
            raise Invalid(
                f"cannot look up {text!r}: there is no /etc/passwd here", hint="give numbers"
            )
        user, _, group = text.partition(":")
        if max(int(user), int(group or 0)) > 2**32 - 2:
            raise Invalid(f"user or group id {text[:20]} is out of range")
        return Owner(int(user), int(group or user))
    user_name, _, group_name = text.partition(":")
    if not user_name:
        return Owner(0, resolve_user(below.fd, f"0:{group_name}").gid)
    user_found = resolve_user(below.fd, text)
    return Owner(user_found.uid, user_found.gid if group_name else user_found.uid)
