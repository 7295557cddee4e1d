"""The build context: a directory, less what its ignore file leaves out."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from corten.builder.tree import Tree, open_tree
from corten.dockerfile.ignore import Ignore, parse_ignore
from corten.errors import Denied, Invalid, NotFound

DOCKERFILE_LIMIT = 1024 * 1024
_IGNORE_FILE = ".dockerignore"


class Context:
    """A directory to build from, with its ignore file's patterns.

    ``title`` is what messages call it; one that is not ``lasting`` goes away after the build.
    """

    def __init__(
        self,
        directory: Path,
        ignore: Ignore,
        title: str = "the build context",
        *,
        lasting: bool = True,
    ) -> None:
        self.directory = directory
        self.ignore = ignore
        self.title = title
        self.lasting = lasting

    def tree(self) -> Tree:
        """The files that are in the context.  Raises: NotFound, Denied."""
        try:
            return open_tree(self.directory, self.ignore, self.title)
        except OSError as error:
            raise _explained(error, self.title, self.directory) from None

    @property
    def name(self) -> str:
        """What its files are remembered under."""
        return str(self.directory.resolve())


def open_context(
    directory: Path, dockerfile: Path | None = None, *, name: str = "", lasting: bool = True
) -> Context:
    """The context in `directory`; an ignore file named after the Dockerfile comes first.

    `name` is that of a named one.  Raises: NotFound, Invalid: it is no directory; PatternError.
    """
    title = f"build context {name}" if name else "build context"
    if not directory.is_dir():
        if directory.exists():
            raise Invalid(f"{title} {directory} is not a directory")
        raise NotFound(f"{title} {directory} does not exist")
    ignore = _read_ignore(directory, dockerfile)
    return Context(
        directory, ignore, f"context {name}" if name else "the build context", lasting=lasting
    )


def _read_ignore(directory: Path, dockerfile: Path | None) -> Ignore:
    candidates = [directory / _IGNORE_FILE]
    if dockerfile is not None:
        candidates.insert(0, dockerfile.with_name(f"{dockerfile.name}{_IGNORE_FILE}"))
    for path in candidates:
        try:
            text = read_small(path, "ignore file")
        except NotFound:
            continue
        return parse_ignore(text)
    return Ignore()


def read_small(path: Path, what: str) -> str:
    """A text file of at most a MiB.  Raises: NotFound, Denied, Invalid."""
    try:
        with path.open("rb") as file:
            raw = file.read(DOCKERFILE_LIMIT + 1)
    except OSError as error:
        raise _explained(error, what, path) from None
    if len(raw) > DOCKERFILE_LIMIT:
        raise Invalid(f"{what} {path} is larger than {DOCKERFILE_LIMIT} bytes")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise Invalid(f"{what} {path}, line {line}: not UTF-8 text") from None


def _explained(error: OSError, what: str, path: Path) -> Denied | Invalid | NotFound:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return NotFound(f"{what} {path} does not exist")
    if error.errno in (errno.EACCES, errno.EPERM):
        return Denied(f"{what} {path} cannot be read: {os.strerror(error.errno)}")
    return Invalid(f"{what} {path} cannot be read: {error.strerror}")
