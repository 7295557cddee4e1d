"""Modes as ``--chmod`` takes them: octal, or symbolic as chmod(1) does.  Pure.

Without ``u``, ``g``, ``o`` or ``a`` a clause is for all of them: there is no umask in a build.
Spec: Dockerfile reference, "COPY --chmod"; POSIX, chmod, "Extended description".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from corten.errors import Invalid

Change = Callable[[int, bool], int]
"""From a mode (the twelve bits), and whether it is a directory's, to what it becomes."""

_OCTAL = re.compile(r"0*[0-7]{1,4}", re.ASCII)
_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[ugo]|[rwxXst]*))+)")
_ACTION = re.compile(r"([-+=])([ugo]|[rwxXst]*)")
_ALL = 0o7777
_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o1007, "a": _ALL}
_BITS = {"r": 0o444, "w": 0o222, "x": 0o111, "X": 0, "s": 0o6000, "t": 0o1000}
_SHIFTS = {"u": 6, "g": 3, "o": 0}
_SET_IDS = 0o6000


class _Action(NamedTuple):
    """``g=rX`` and the like; `who` is 0 where nobody is named."""

    who: int
    op: str
    perms: str

    def apply(self, mode: int, directory: bool) -> int:
        copied = self.perms in _SHIFTS
        if copied:
            value = (mode >> _SHIFTS[self.perms] & 7) * 0o111
        else:
            value = sum(_BITS[perm] for perm in set(self.perms))
            if "X" in self.perms and (directory or mode & 0o111):
                value |= 0o111
        # A directory keeps the set-id bits that are not spoken of.
        spoken = 0 if copied else value
        kept = _SET_IDS & ~spoken if directory else 0
        value &= (self.who or _ALL) & ~kept
        if self.op == "+":
            return mode | value
        if self.op == "-":
            return mode & ~value
        return mode & (kept | (_ALL & ~self.who if self.who else 0)) | value


def parse_mode(text: str) -> Change:
    """What the value of ``--chmod`` does to a mode.  Raises: Invalid."""
    if _OCTAL.fullmatch(text):
        number = int(text, 8)
        return lambda mode, directory: number
    if text.isascii() and text.isdigit():
        raise Invalid(f"{text!r} is not an octal mode", hint="from 0 to 7777, such as 755 or 0644")
    actions: list[_Action] = []
    for clause in text.split(","):
        found = _CLAUSE.fullmatch(clause)
        if found is None:
            raise Invalid(
                f"{clause!r} is not a mode" + (f" (in {text!r})" if clause != text else ""),
                hint="write it as 755 or 0644, or as u=rwX,go=rX",
            )
        who = 0
        for letter in found[1]:
            who |= _WHO[letter]
        actions += [_Action(who, op, perms) for op, perms in _ACTION.findall(found[2])]

    @lru_cache(1024)
    def change(mode: int, directory: bool) -> int:
        for action in actions:
            mode = action.apply(mode, directory)
        return mode

    return change
