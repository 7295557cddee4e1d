"""`TarFiles`: the members of a plain tar file by name, read where they lie."""

from __future__ import annotations

import os
import posixpath
from types import TracebackType
from typing import NamedTuple, Self

from corten.archive.entry import Entry, show
from corten.archive.tar_course import TarCourse
from corten.archive.tar_fields import BLOCK
from corten.archive.tar_reader import read_members
from corten.errors import Invalid, NotFound, Unavailable

_MEMBERS_LIMIT = 200_000
_LINKS_LIMIT = 16
_WANTED = "give an archive that corten save, docker save, podman save or skopeo wrote"


class Place(NamedTuple):
    """Where a member's bytes lie in the archive."""

    offset: int
    size: int


class TarFiles:
    """An index of the tar in the file `fd`, which is neither closed nor moved.

    Nothing is ever extracted, so a name cannot lead anywhere: links are followed
    among the members only.  Raises: Invalid: not a tar, two files of one name.
    """

    def __init__(self, fd: int, what: str) -> None:
        self.fd = fd
        self.what = what
        self._places: dict[str, Place] = {}
        self._links: dict[str, str] = {}
        course = TarCourse(what, os.pread(fd, BLOCK, 0), os.fstat(fd).st_size)
        if not course.size:
            raise Invalid(f"{what} is empty", hint=_WANTED)
        with course.explaining(_WANTED):
            for count, member in enumerate(read_members(fd, course.scanner)):
                if count >= _MEMBERS_LIMIT:
                    raise Invalid(f"{what} has more than {_MEMBERS_LIMIT} members")
                course.saw(member)
                self._add(*member)

    def _add(self, entry: Entry, offset: int, size: int) -> None:
        name = _clean(entry.name.decode("utf-8", "surrogateescape"))
        if entry.kind not in ("file", "symlink", "link") or name is None:
            return
        if name in self._places or name in self._links:
            # Readers differ in which of the two they take.
            raise Invalid(f"{self.what} has two members named {show(entry.name)}")
        if entry.kind == "file":
            if entry.sparse is None:
                self._places[name] = Place(offset, size)
            return
        target = entry.linkname.decode("utf-8", "surrogateescape")
        if entry.kind == "symlink":
            target = posixpath.join(posixpath.dirname(name), target)
        self._links[name] = target

    def __contains__(self, name: str) -> bool:
        try:
            self.place(name)
        except (NotFound, Invalid):
            return False
        return True

    def place(self, name: str) -> Place:
        """Where the file `name` lies, links followed.

        Raises: NotFound; Invalid: a link leads out of the archive or in a circle.
        """
        wanted: str | None = _clean(name)
        for _ in range(_LINKS_LIMIT):
            if wanted is None:
                break
            if (place := self._places.get(wanted)) is not None:
                return place
            if wanted not in self._links:
                raise NotFound(f"{self.what} has no file {_show(name)}")
            wanted = _clean(self._links[wanted])
        raise Invalid(f"{self.what}: {_show(name)} leads out of the archive or in a circle")

    def open(self, place: Place, offset: int = 0) -> MemberReader:
        """A reader of a member from `offset` on.  Raises: Invalid: behind its end."""
        if not 0 <= offset <= place.size:
            raise Invalid(f"offset {offset} lies outside of a member of {self.what}")
        return MemberReader(self.fd, Place(place.offset + offset, place.size - offset), self.what)

    def read(self, name: str, limit: int) -> bytes:
        """A small member whole.  Raises: NotFound; Invalid: larger than `limit` bytes."""
        place = self.place(name)
        if place.size > limit:
            raise Invalid(
                f"{self.what}: {_show(name)} has {place.size} bytes, more than the limit of {limit}"
            )
        with self.open(place) as reader:
            return reader.read()


class MemberReader:
    """Bytes of a member.  Independent of other readers of the same file."""

    def __init__(self, fd: int, place: Place, what: str) -> None:
        self._fd = fd
        self._at = place.offset
        self._left = place.size
        self._what = what

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes.  Raises: Unavailable: the archive was cut short meanwhile."""
        if size < 0:
            return b"".join(iter(lambda: self.read(1024 * 1024), b""))
        wanted = min(size, self._left)
        if not wanted:
            return b""
        data = os.pread(self._fd, wanted, self._at)
        if not data:
            raise Unavailable(f"{self._what} ends in the middle of a member")
        self._at += len(data)
        self._left -= len(data)
        return data

    def close(self) -> None:
        """Nothing to do: the file is the archive's."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _clean(name: str) -> str | None:
    """`name` in its one form; None: it does not lie in the archive."""
    if name.startswith("/") or "\0" in name:
        return None
    name = posixpath.normpath(name)
    return None if name == ".." or name.startswith("../") else name


def _show(name: str) -> str:
    return show(name.encode("utf-8", "surrogateescape"))
