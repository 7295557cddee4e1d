"""What an ignore file leaves out of a build context.

One pattern a line, ``#`` comments, ``!`` takes a path in again, ``**`` crosses
directories; the last pattern that matches a path or one of its parents
decides.  Spec: Dockerfile reference, ".dockerignore file".
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from corten.dockerfile.patterns import (
    BELOW,
    Matcher,
    PatternError,
    compile_tokens,
    has_magic,
    tokens,
)


class Ignore:
    """The patterns of one ignore file.  Paths are relative to the context, with ``/``.

    ``patterns`` are what it was made from.
    """

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self.patterns = tuple(patterns)
        rules = [_rule(pattern) for pattern in self.patterns]
        self._rules = tuple(rule for rule in rules if rule is not None)
        self._negated = [prefix for _, keep, prefix in self._rules if keep]
        self._combined: re.Pattern[str] | None = None
        simple = [regex for regex, _, _ in self._rules if isinstance(regex, re.Pattern)]
        if simple and not self._negated and len(simple) == len(self._rules):
            joined = "|".join(f"(?:{regex.pattern})" for regex in simple)
            self._combined = re.compile(joined, re.DOTALL)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def matches(self, path: str) -> bool:
        """Whether `path` is left out, by itself or through one of its parents."""
        path = path.strip("/")
        if self._combined is not None:
            return self._combined.fullmatch(path) is not None
        for regex, keep, _ in reversed(self._rules):
            if regex.fullmatch(path):
                return not keep
        return False

    def may_keep_below(self, directory: str) -> bool:
        """Whether something under the left-out `directory` may be taken in again."""
        parts = directory.strip("/").split("/")
        for prefix, open_ended in self._negated:
            shared = min(len(prefix), len(parts))
            if prefix[:shared] == parts[:shared] and (open_ended or len(prefix) > len(parts)):
                return True
        return False


def parse_ignore(text: str) -> Ignore:
    """The patterns of an ignore file's `text`.

    Raises: PatternError: with the line's number.
    """
    patterns = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        if line.startswith("#") or not line.strip():
            continue
        try:
            _rule(line)
        except PatternError as error:
            raise PatternError(f"ignore file, line {number}: {error.message}") from None
        patterns.append(line)
    return Ignore(patterns)


_Rule = tuple[Matcher, bool, tuple[list[str], bool]]


def _rule(text: str) -> _Rule | None:
    pattern = text.strip()
    keep = pattern.startswith("!")
    if keep:
        pattern = pattern[1:].strip()
        if not pattern:
            raise PatternError("a lone ! takes nothing in again")
    # A directory's trailing slash, doubled slashes and "." components mean nothing here.
    pattern = posixpath.normpath(pattern).lstrip("/") if pattern else ""
    if pattern in ("", "."):
        return None
    regex = compile_tokens([*tokens(pattern, double_star=True), BELOW])
    literal: list[str] = []
    for part in pattern.split("/"):
        if has_magic(part):
            return regex, keep, (literal, True)
        literal.append(part)
    return regex, keep, (literal, False)
