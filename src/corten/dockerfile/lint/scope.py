"""Variables while a Dockerfile is checked: which there are, and what is known of their values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from corten.dockerfile.errors import DockerfileError
from corten.dockerfile.expansion import ExpansionError, expand
from corten.dockerfile.instructions import Arg, Dockerfile

DEFAULT_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
_LONGEST = 1024
"""Characters of a value that is worth knowing: no path is longer, and many that repeat one
another would be very long."""
_LAYERS = 32
"""As many layers are looked through; then they become one."""
_MENTIONED = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)", re.ASCII)


class _Entry(NamedTuple):
    """What is known of a variable: ENV or ARG, whether it has a value, and which (None: not known)."""

    environment: bool
    is_set: bool
    value: str | None


class Scope:
    """The variables of a stage.  ``whole`` is false where the base image may have more.

    A copy begins a layer upon what it shares with the one it was made from: many stages
    upon one, or upon one another, take no more than their own variables.
    """

    def __init__(self, environment: Mapping[str, str], *, whole: bool, escape: str) -> None:
        given = {**DEFAULT_ENVIRONMENT, **environment}
        entries = {name: _Entry(True, True, _bounded(value)) for name, value in given.items()}
        self._layers: list[dict[str, _Entry]] = [entries]
        self._shared = False
        self.whole = whole
        self.escape = escape

    def copy(self) -> Scope:
        """One of its own, with the same variables.  This one must not change any more."""
        self._shared = True
        made = Scope.__new__(Scope)
        made._layers = [{}, *self._layers]
        if len(made._layers) > _LAYERS:
            flat: dict[str, _Entry] = {}
            for layer in reversed(self._layers):
                flat.update(layer)
            made._layers = [flat]
        made._shared = False
        made.whole, made.escape = self.whole, self.escape
        return made

    def taken(self) -> Scope:
        """As a copy, for the last that asks: itself, if nobody shares it."""
        return self.copy() if self._shared else self

    def _find(self, name: str) -> _Entry | None:
        for layer in self._layers:
            if name in layer:
                return layer[name]
        return None

    def __contains__(self, name: object) -> bool:
        return self._find(str(name)) is not None

    def __iter__(self) -> Iterator[str]:
        for layer in self._layers:
            yield from layer

    def put(self, name: str, value: str | None) -> None:
        """ENV; None: a value that is not known."""
        self._layers[0][name] = _Entry(True, True, _bounded(value))

    def declare(self, name: str, value: str | None, *, is_set: bool = True) -> None:
        """ARG; not `is_set`: it has no value."""
        found = self._find(name)
        if found is None or not found.environment:
            self._layers[0][name] = _Entry(False, is_set, _bounded(value))

    def value(self, word: str) -> str | None:
        """`word` expanded; None where that is not certain."""
        known: dict[str, str] = {}
        for match in _MENTIONED.finditer(word):
            found = self._find(match[1])
            if found is None:
                if not self.whole:
                    return None
            elif found.is_set:
                if found.value is None:
                    return None
                known[match[1]] = found.value
        try:
            return expand(word, known, self.escape)
        except ExpansionError:
            return None


def _bounded(value: str | None) -> str | None:
    return value if value is None or len(value) <= _LONGEST else None


class GlobalScope:
    """What FROM sees: automatic arguments, and ARG before the first FROM.

    ``names`` are all that are declared, ``values`` those that have a value.
    Raises: DockerfileError: a default that cannot be expanded.
    """

    def __init__(
        self, dockerfile: Dockerfile, given: Mapping[str, str], automatic: Mapping[str, str]
    ) -> None:
        self.file = dockerfile.file
        self.escape = dockerfile.escape
        self.automatic = automatic
        self.values: dict[str, str] = dict(automatic)
        self.names = set(automatic)
        self.declared: set[str] = set()
        """Those of ARG instructions."""
        for instruction in dockerfile.arguments:
            for name, default in instruction.pairs:
                self._declare(instruction, name, default, given)

    def _declare(
        self, instruction: Arg, name: str, default: str | None, given: Mapping[str, str]
    ) -> None:
        self.names.add(name)
        self.declared.add(name)
        if name in given:
            value = given[name]
        elif default is not None:
            try:
                value = expand(default, self.values, self.escape)
            except ExpansionError as error:
                raise self.error(instruction, error, default) from None
        else:
            return
        self.values[name] = value[:_LONGEST]

    def error(self, instruction: Arg, error: ExpansionError, word: str) -> DockerfileError:
        """The error with its place."""
        return instruction.node.error(error.message, word).located(self.file)
