"""Path patterns: Go's ``filepath.Match`` for sources of COPY, with ``**`` for ignore files.

Spec: Dockerfile reference, "Pattern matching".
"""

from __future__ import annotations

import re

from corten.errors import Invalid

_MAGIC = frozenset("*?[\\")


class PatternError(Invalid):
    """A pattern that breaks the rules, such as an open bracket."""


def has_magic(pattern: str) -> bool:
    """Whether `pattern` is more than a plain path."""
    return not _MAGIC.isdisjoint(pattern)


def compile_match(pattern: str) -> re.Pattern[str]:
    """One path component's pattern, to be used with ``fullmatch``.  Raises: PatternError."""
    return re.compile(translate(pattern, double_star=False), re.DOTALL)


def translate(pattern: str, double_star: bool) -> str:
    """The regular expression for `pattern`; with `double_star`, ``**`` crosses directories.

    Raises: PatternError.
    """
    out: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "*":
            stars = at
            while at < len(pattern) and pattern[at] == "*":
                at += 1
            if at - stars < 2 or not double_star:
                _append_once(out, "[^/]*")
            elif pattern.startswith("/", at):
                at += 1
                _append_once(out, "(?:.*/)?")
            else:
                _append_once(out, ".*")
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
    return "".join(out)


def _append_once(out: list[str], piece: str) -> None:
    if not out or out[-1] != piece:
        out.append(piece)


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
