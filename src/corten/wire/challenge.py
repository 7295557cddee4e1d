"""``WWW-Authenticate`` challenges and token scopes.

Spec: RFC 9110, section 11.6.1 (the grammar); Docker's token.md and scope.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME = re.compile(rf"\s*({_WORD})(?=\s|,|$)", re.ASCII)
_PARAM = re.compile(rf'\s*({_WORD})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_WORD}))\s*', re.ASCII)
_LUMP = re.compile(r"\s+[A-Za-z0-9._~+/-]+=*\s*(?=,|$)", re.ASCII)
_SKIP = re.compile(r"[\s,]*", re.ASCII)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_LIMIT = 16 * 1024
_SCOPE = re.compile(r"([a-z0-9]+(?:\([a-z0-9]+\))?):(.+):([a-z*]*(?:,[a-z*]*)*)", re.ASCII)


REALM = "corten registry"
"""What corten's own registry asks for credentials for.  It has no accounts yet."""


class Challenge(msgspec.Struct, frozen=True):
    """One challenge: the scheme in lower case and its parameters, names in lower case."""

    scheme: str
    parameters: Mapping[str, str]

    def __str__(self) -> str:
        return format_challenge(self.scheme.capitalize(), self.parameters)


def parse_challenges(text: str) -> tuple[Challenge, ...]:
    """All challenges of a ``WWW-Authenticate`` field, in order.

    What is malformed ends the reading: the challenges before it count.
    """
    text = text[:_LIMIT]
    found: list[Challenge] = []
    position = 0
    while True:
        position = _end(_SKIP, text, position)
        scheme = _SCHEME.match(text, position)
        if scheme is None:
            return tuple(found)
        position = scheme.end()
        parameters: dict[str, str] = {}
        while (parameter := _PARAM.match(text, _end(_SKIP, text, position))) is not None:
            quoted = parameter[2]
            value = parameter[3] if quoted is None else _ESCAPED.sub(r"\1", quoted)
            parameters.setdefault(parameter[1].lower(), value)
            position = parameter.end()
        if not parameters and (lump := _LUMP.match(text, position)) is not None:
            position = lump.end()
        found.append(Challenge(scheme[1].lower(), parameters))


def format_challenge(scheme: str, parameters: Mapping[str, str]) -> str:
    """The field that says one challenge."""
    quoted = (
        '{}="{}"'.format(name, value.replace("\\", "\\\\").replace('"', '\\"'))
        for name, value in parameters.items()
    )
    return f"{scheme} {','.join(quoted)}".rstrip()


class Scope(msgspec.Struct, frozen=True):
    """Access to one resource: ``repository:NAME:pull,push`` (scope.md, "Resource Scope Grammar")."""

    kind: str
    name: str
    actions: frozenset[str]

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}:{','.join(sorted(self.actions))}"

    def covers(self, other: Scope) -> bool:
        """Whether all that `other` allows is allowed here."""
        return (self.kind, self.name) == (other.kind, other.name) and self.actions >= other.actions


def repository_scope(name: str, *actions: str) -> Scope:
    """Access to the repository `name`."""
    return Scope("repository", name, frozenset(actions))


CATALOG_SCOPE = Scope("registry", "catalog", frozenset({"*"}))


def parse_scopes(text: str) -> tuple[Scope, ...]:
    """The well-formed scopes of a list separated by spaces.  A name may contain a port's colon."""
    scopes = []
    for part in text[:_LIMIT].split():
        found = _SCOPE.fullmatch(part)
        if found is not None:
            kind = found[1].partition("(")[0]
            scopes.append(Scope(kind, found[2], frozenset(filter(None, found[3].split(",")))))
    return tuple(scopes)


def merge_scopes(scopes: Iterable[Scope]) -> tuple[Scope, ...]:
    """One scope a resource, with the actions of all, in a fixed order."""
    merged: dict[tuple[str, str], frozenset[str]] = {}
    for scope in scopes:
        key = (scope.kind, scope.name)
        merged[key] = merged.get(key, frozenset()) | scope.actions
    return tuple(Scope(kind, name, merged[kind, name]) for kind, name in sorted(merged))


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return found.end() if found is not None else position
