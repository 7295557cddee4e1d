"""The ``--flags`` of instructions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from corten.dockerfile.errors import did_you_mean
from corten.dockerfile.syntax import Node

_SWITCHES = frozenset({"link", "parents", "keep-git-dir", "unpack"})
"""Flags that may stand without a value."""
_REPEATED = frozenset({"mount", "device", "exclude"})
"""Flags that may stand several times: see `all_of`."""


def flags_of(node: Node, known: Iterable[str] = ()) -> dict[str, str]:
    """The node's flags by name; a flag without ``=`` has the value ``true``.

    Raises: DockerfileError: one that is not `known`, stands twice, or has no value.
    """
    found: dict[str, str] = {}
    allowed = frozenset(known)
    for flag in node.flags:
        name, equals, value = flag.removeprefix("--").partition("=")
        if name not in allowed:
            raise node.error(
                f"{node.keyword} has no flag --{name}",
                flag,
                did_you_mean(name, allowed) if allowed else f"{node.keyword} takes no flags",
            )
        if name in found and name not in _REPEATED:
            raise node.error(f"{node.keyword} --{name} stands twice", flag)
        if not equals and name not in _SWITCHES:
            raise node.error(f"{node.keyword} --{name} needs a value", flag, f"--{name}=VALUE")
        found[name] = value if equals else "true"
    return found


def all_of(node: Node, name: str) -> tuple[str, ...]:
    """The values of a flag that may stand several times."""
    lead = f"--{name}="
    return tuple(flag.removeprefix(lead) for flag in node.flags if flag.startswith(lead))


def switch_of(node: Node, name: str, flags: Mapping[str, str]) -> bool | None:
    """What a flag of true and false says; None: it is not given.  Raises: DockerfileError."""
    text = flags.get(name)
    if text is None:
        return None
    if text.lower() in ("true", "1", "t"):
        return True
    if text.lower() in ("false", "0", "f"):
        return False
    raise node.error(f"{node.keyword} --{name} is true or false, not {text!r}", text)
