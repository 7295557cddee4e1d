"""``--flag=true`` and ``--flag=false``: switches with a value, as Docker's command line has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import click

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


class OptionalValue(click.Option):
    """An option that means `bare` when it is given without a value: ``--flag`` or ``--flag=VALUE``.

    A value is never the next word, which may be an argument.
    """

    def __init__(self, names: Sequence[str], *, bare: str, **more: Any) -> None:
        super().__init__(names, **more)
        self.bare = bare


def plain_switches(
    arguments: Sequence[str], parameters: Iterable[click.Parameter], *, interspersed: bool
) -> list[str]:
    """`arguments` with ``--flag=true`` written as ``--flag`` and ``--flag=false`` left out.

    An `OptionalValue` without one gets its bare one.
    Values of other options and what follows ``--`` stay as they are; unless `interspersed`
    so does everything from the first argument on.  Raises: click.BadParameter: another value.
    """
    options = {
        name: parameter
        for parameter in parameters
        if isinstance(parameter, click.Option)
        for name in parameter.opts
    }
    plain: list[str] = []
    rest = iter(arguments)
    for word in rest:
        if word == "--" or (not word.startswith("-") and not interspersed):
            return [*plain, word, *rest]
        name, equals, value = word.partition("=")
        option = options.get(name)
        if equals and option is not None and option.is_flag:
            plain += [name] * _switched_on(option, name, value)
            continue
        if not equals and isinstance(option, OptionalValue):
            plain.append(f"{name}={option.bare}")
            continue
        plain.append(word)
        if _wants_value(word, options):
            plain.extend(value for value in (next(rest, None),) if value is not None)
    return plain


def _switched_on(option: click.Option, name: str, value: str) -> bool:
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise click.BadParameter(f"{value!r} is neither true nor false", param=option, param_hint=name)


def _wants_value(word: str, options: dict[str, click.Option]) -> bool:
    """Whether the next word is the value of an option that `word` ends with."""
    if word.startswith("--"):
        option = options.get(word)
        return option is not None and not option.is_flag
    for at, letter in enumerate(word[1:], 1):
        option = options.get(f"-{letter}")
        if option is None:
            return False
        if not option.is_flag:
            return at == len(word) - 1  # else the rest of the word is the value
    return False
