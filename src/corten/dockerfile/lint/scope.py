"""Variables while a Dockerfile is checked: which there are, and what is known of their values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from corten.dockerfile.errors import DockerfileError
from corten.dockerfile.expansion import ExpansionError, expand
from corten.dockerfile.instructions import Arg, Dockerfile

DEFAULT_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
_LONGEST = 1024
"""Characters of a value that is worth knowing: no path is longer, and many that repeat one
another would be very long."""
_MENTIONED = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)", re.ASCII)


class Scope:
    """The variables of a stage.  ``whole`` is false where the base image may have more.

    Values are None where they are not known.  A name in it may have no value: an ARG
    without default.
    """

    def __init__(self, environment: Mapping[str, str], *, whole: bool, escape: str) -> None:
        self.values: dict[str, str | None] = {**DEFAULT_ENVIRONMENT, **environment}
        self.environment = set(self.values)
        self.unset: set[str] = set()
        self.whole = whole
        self.escape = escape

    def copy(self) -> Scope:
        """One of its own, with the same variables."""
        made = Scope({}, whole=self.whole, escape=self.escape)
        made.values = dict(self.values)
        made.environment = set(self.environment)
        made.unset = set(self.unset)
        return made

    def __contains__(self, name: object) -> bool:
        return name in self.values or name in self.unset

    def __iter__(self) -> Iterator[str]:
        yield from self.values
        yield from self.unset

    def put(self, name: str, value: str | None) -> None:
        """ENV."""
        self.values[name] = value if value is None or len(value) <= _LONGEST else None
        self.environment.add(name)

    def declare(self, name: str, value: str | None, *, known: bool = True) -> None:
        """ARG; None, if `known`, is no value at all."""
        if name in self.environment:
            return
        if value is None and known:
            self.unset.add(name)
            self.values.pop(name, None)
            return
        self.values[name] = value if value is None or len(value) <= _LONGEST else None

    def value(self, word: str) -> str | None:
        """`word` expanded; None where that is not certain."""
        for match in _MENTIONED.finditer(word):
            name = match[1]
            if self.values.get(name) is None:
                uncertain = name in self.values or not self.whole
                if uncertain and name not in self.unset:
                    return None
        known = _Known(self.values)
        try:
            return expand(word, known, self.escape)
        except ExpansionError:
            return None


class _Known(dict[str, str]):
    """A view without the names whose value is None."""

    def __init__(self, values: Mapping[str, str | None]) -> None:
        super().__init__()
        self._values = values

    def __missing__(self, name: str) -> str:
        value = self._values[name]
        if value is None:
            raise KeyError(name)
        return value


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
