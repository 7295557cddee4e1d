"""Who may do what.  One function decides; accounts will be another such function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from corten.errors import Usage
from corten.wire.challenge import REALM, format_challenge

Action = Literal["pull", "push", "delete", "list"]
Anonymous = Literal["none", "read", "write"]

_LEVELS: Final[tuple[Anonymous, ...]] = ("none", "read", "write")


class Principal(NamedTuple):
    """Who asks.  An empty name is somebody who said no name."""

    name: str = ""


ANONYMOUS: Final = Principal()

Allows = Callable[[Principal, Action, str], bool]
"""``allows(principal, action, repository)``; the repository is empty for the whole registry."""

_GRANTED: Final[dict[str, frozenset[str]]] = {
    "none": frozenset(),
    "read": frozenset({"pull", "list"}),
    "write": frozenset({"pull", "list", "push", "delete"}),
}


def anonymous_access(level: Anonymous) -> Allows:
    """Everybody may do what `level` says, whoever they are."""
    granted = _GRANTED[level]

    def allows(principal: Principal, action: Action, repository: str) -> bool:
        return action in granted

    return allows


def needed_level(action: Action) -> Anonymous:
    """The least level at which everybody may do it."""
    return next(level for level in _LEVELS if action in _GRANTED[level])


def default_level(loopback: bool, wanted: str = "") -> Anonymous:
    """What people without an account may do where nothing, or `wanted`, is said.

    On loopback everything, since whoever can connect is on this machine; else
    nothing.  Raises: Usage: `wanted` is none of none, read, write.
    """
    if not wanted:
        return "write" if loopback else "none"
    for level in _LEVELS:
        if wanted == level:
            return level
    raise Usage(f"anonymous access {wanted!r}: it is none, read or write")


def challenge() -> str:
    """The ``WWW-Authenticate`` field that asks for a name and password."""
    return format_challenge("Basic", {"realm": REALM})
