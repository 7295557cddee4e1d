"""Which things a source of COPY names: wildcards, ``--parents`` and ``--exclude``.

Spec: Dockerfile reference, "Pattern matching", "COPY --parents" and "COPY --exclude".
"""

from __future__ import annotations

import posixpath
import stat
from typing import NamedTuple

from corten.builder.graph import PIVOT, Copy
from corten.builder.tree import Found, Tree
from corten.builder.walk import LeavesOut
from corten.dockerfile.ignore import Ignore
from corten.dockerfile.patterns import (
    BELOW,
    compile_match,
    compile_tokens,
    has_magic,
    has_wildcards,
    tokens,
)
from corten.errors import NotFound


class Chosen(NamedTuple):
    """Something to copy, and what of a directory is left out (None: what the ignore file says)."""

    found: Found
    leaves_out: LeavesOut | None

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory, whose contents are meant."""
        return stat.S_ISDIR(self.found.state.st_mode)


def choose(op: Copy, tree: Tree, source: str) -> list[Chosen]:
    """What `source` means in the tree.  Empty: its wildcards match nothing, or all is excluded.

    Raises: NotFound: it has no wildcards and is not there; Invalid; PatternError.
    """
    start, pattern = source, ""
    if op.parents:
        start, _, pattern = source.partition(PIVOT)
    found = tree.find(start)
    if not found and not _may_be_nothing(tree, start):
        raise _missing(tree, _before_wildcards(start))
    excludes = Ignore(op.excludes) if op.excludes else None
    chosen = []
    for each in found:
        if not stat.S_ISDIR(each.state.st_mode):
            left_out = excludes is not None and _names(excludes, each)
            if op.parents:
                raise NotFound(f"{each.path} in {tree.label} is not a directory before /./")
            if not left_out:
                chosen.append(Chosen(each, None))
            continue
        if excludes is not None and has_wildcards(start) and _names(excludes, each):
            continue
        filters: list[tuple[LeavesOut, int]] = []
        inside = len(each.path) + 1 if each.path else 0
        if tree.ignore is not None:
            filters.append((tree.ignore, 0))
        if excludes is not None:
            filters.append((excludes, inside))
        if pattern:
            if not has_wildcards(pattern):
                _require(tree, f"{each.path}/{pattern}".lstrip("/"))
            filters.append((_Only(pattern), inside))
        of_its_own = len(filters) > (tree.ignore is not None)
        chosen.append(Chosen(each, _Filters(filters) if of_its_own else None))
    return chosen


def _names(excludes: Ignore, found: Found) -> bool:
    return excludes.matches(found.name) or excludes.matches(found.path)


def _may_be_nothing(tree: Tree, source: str) -> bool:
    """Whether wildcards in `source` may match nothing: what stands before them is there."""
    return has_wildcards(source) and bool(tree.find(_before_wildcards(source)))


def _before_wildcards(source: str) -> str:
    """The first components of a source, which have no wildcards."""
    parts = source.lstrip("/").split("/")
    while any(has_wildcards(part) for part in parts):
        parts.pop()
    return "/".join(parts)


def _missing(tree: Tree, path: str) -> NotFound:
    hint = "the ignore file leaves it out" if tree.left_out(tree.resolve(path)) else ""
    return NotFound(f"{path} is not in {tree.label}", hint=hint)


def _require(tree: Tree, path: str) -> None:
    """Raises: NotFound: there is nothing at `path`, or a link is on the way."""
    path = _unescaped(path)
    real = tree.resolve(path, follow=False)
    if tree.state(real) is None:
        raise _missing(tree, path)
    if real != path:
        raise NotFound(
            f"{path} in {tree.label} leads through a symbolic link",
            hint=f"--parents follows none: write {real}, or put /./ behind the link",
        )


def _unescaped(path: str) -> str:
    out, at = [], 0
    while at < len(path):
        at += path[at] == "\\" and at + 1 < len(path)
        out.append(path[at])
        at += 1
    return "".join(out)


class _Only:
    """Leaves out all but what a pattern names, and what is under that."""

    def __init__(self, pattern: str) -> None:
        self._matcher = compile_tokens([*tokens(pattern, double_star=True), BELOW])
        self._parts = [
            None if "**" in part else compile_match(part) if has_magic(part) else part
            for part in posixpath.normpath(pattern).split("/")
        ]

    def matches(self, path: str, /) -> bool:
        return self._matcher.fullmatch(path) is None

    def may_keep_below(self, directory: str, /) -> bool:
        names = directory.split("/")
        for name, part in zip(names, self._parts, strict=False):
            if part is None:
                return True
            if not (part == name if isinstance(part, str) else part.fullmatch(name)):
                return False
        return len(names) < len(self._parts)


class _Filters:
    """Leaves out what one of several does; each sees paths from some character on."""

    def __init__(self, filters: list[tuple[LeavesOut, int]]) -> None:
        self._filters = tuple(filters)

    def matches(self, path: str, /) -> bool:
        return any(each.matches(path[begin:]) for each, begin in self._filters)

    def may_keep_below(self, directory: str, /) -> bool:
        return all(
            not each.matches(directory[begin:]) or each.may_keep_below(directory[begin:])
            for each, begin in self._filters
        )
