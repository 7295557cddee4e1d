"""Path patterns: Go's ``filepath.Match`` for sources of COPY, with ``**`` for ignore files.

Spec: Dockerfile reference, "Pattern matching".
"""

from __future__ import annotations

import re
from typing import Protocol

from corten.errors import Invalid

_WILDCARDS = frozenset("*?[")
_MAGIC = _WILDCARDS | {"\\"}

STAR, ANYTHING, DIRECTORIES, BELOW = "[^/]*", ".*", "(?:.*/)?", "(?:/.*)?"
_WILD = frozenset((STAR, ANYTHING, DIRECTORIES, BELOW))
# So many wildcards a regular expression may have: each multiplies the ways it tries.
_BACKTRACKING = 3


class PatternError(Invalid):
    """A pattern that breaks the rules, such as an open bracket."""


def has_magic(pattern: str) -> bool:
    """Whether `pattern` is more than a plain path."""
    return not _MAGIC.isdisjoint(pattern)


def has_wildcards(pattern: str) -> bool:
    """Whether `pattern` may match more than one path: ``*``, ``?`` or ``[``, not escaped."""
    if "\\" not in pattern:
        return not _WILDCARDS.isdisjoint(pattern)
    return not _WILDCARDS.isdisjoint(re.sub(r"\\.", "", pattern, flags=re.DOTALL))


class Matcher(Protocol):
    """A compiled pattern."""

    def fullmatch(self, text: str, /) -> object | None:
        """Something true if the whole of `text` matches."""


def compile_match(pattern: str) -> Matcher:
    """A pattern for one path component.  Raises: PatternError."""
    return compile_tokens(tokens(pattern, double_star=False))


def compile_tokens(found: list[str]) -> Matcher:
    """A matcher whose time is bounded, whatever the pattern."""
    if sum(token in _WILD for token in found) <= _BACKTRACKING:
        return re.compile("".join(found), re.DOTALL)
    return _Simulated(found)


def tokens(pattern: str, double_star: bool) -> list[str]:
    """A pattern as regular expressions, one a character or wildcard; ``**`` crosses directories.

    Raises: PatternError.
    """
    out: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "*":
            begin = at
            while at < len(pattern) and pattern[at] == "*":
                at += 1
            token = STAR
            if at - begin > 1 and double_star:
                token = ANYTHING
                if pattern.startswith("/", at):
                    at += 1
                    token = DIRECTORIES
            if not out or out[-1] != token:
                out.append(token)
            continue
        if char == "?":
            out.append("[^/]")
        elif char == "[":
            text, at = _bracket(pattern, at)
            out.append(text)
            continue
        elif char == "\\":
            at += 1
            if at == len(pattern):
                raise PatternError(f"pattern {pattern!r} ends with an escape character")
            out.append(re.escape(pattern[at]))
        else:
            out.append(re.escape(char))
        at += 1
    return out


class _Simulated:
    """All ways through a pattern at once: time grows with its length times the text's."""

    def __init__(self, found: list[str]) -> None:
        self._tokens = [
            token if token in _WILD else re.compile(token, re.DOTALL).fullmatch for token in found
        ]

    def fullmatch(self, text: str, /) -> object | None:
        length = len(text)
        places = {0}
        for token in self._tokens:
            if not places:
                return None
            if not isinstance(token, str):
                places = {at + 1 for at in places if at < length and token(text[at])}
                continue
            first = min(places)
            if token == STAR:
                reached, here = set(), False
                for at in range(first, length + 1):
                    here = here or at in places
                    if here:
                        reached.add(at)
                    if at < length and text[at] == "/":
                        here = False
                places = reached
            elif token == ANYTHING:
                places = set(range(first, length + 1))
            elif token == DIRECTORIES:
                places |= {at + 1 for at in range(first, length) if text[at] == "/"}
            else:
                # What lies under a match is matched too.
                ended = any(at < length and text[at] == "/" for at in places)
                return True if ended or length in places else None
        return True if length in places else None


def _bracket(pattern: str, at: int) -> tuple[str, int]:
    """``[a-z]`` or ``[^…]``, where a backslash takes the next character as it is."""
    start = at
    at += 1
    negated = pattern.startswith("^", at)
    at += negated
    ranges: list[str] = []
    while True:
        if pattern.startswith("]", at) and ranges:
            break
        low, at = _member(pattern, at, start)
        high = low
        if pattern.startswith("-", at):
            high, at = _member(pattern, at + 1, start)
        if high < low:
            raise PatternError(f"pattern {pattern!r}: range {low}-{high} is the wrong way round")
        ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    return f"(?!/)[{'^' if negated else ''}{''.join(ranges)}]", at + 1


def _member(pattern: str, at: int, start: int) -> tuple[str, int]:
    if pattern.startswith("\\", at):
        at += 1
    elif pattern.startswith(("-", "]"), at):
        raise PatternError(f"pattern {pattern!r}: malformed bracket {pattern[start:]!r}")
    if at >= len(pattern):
        raise PatternError(f"pattern {pattern!r}: bracket without end")
    return pattern[at], at + 1
