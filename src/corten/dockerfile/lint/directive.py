"""The ``check`` directive: ``# check=skip=RULE,RULE;error=true``.

Spec: Dockerfile reference, "Parser directives", section "check".
"""

from __future__ import annotations

from collections.abc import Container

import msgspec

from corten.dockerfile.errors import DockerfileError
from corten.dockerfile.instructions import Dockerfile

_ALL = "all"
_TRUE = ("1", "t", "true")
_FALSE = ("0", "f", "false")


ARGUMENT = "BUILDKIT_DOCKERFILE_CHECK"
"""The build argument that stands for the directive."""


class Policy(msgspec.Struct, frozen=True):
    """Which rules are checked, and whether a build fails of what they find."""

    skip: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    error: bool = False

    def wants(self, name: str, experimental: bool) -> bool:
        """Whether the rule is checked."""
        if _ALL in self.skip or name in self.skip:
            return False
        return not experimental or bool({_ALL, name} & self.experimental)

    def unknown(self, known: Container[str]) -> tuple[str, ...]:
        """Names that are no rule's."""
        named = (self.skip | self.experimental) - {_ALL}
        return tuple(sorted(name for name in named if name not in known))


def parse_policy(dockerfile: Dockerfile, text: str, given: str = "") -> Policy:
    """What the file's directive says; `text` is the file.  `given` holds instead: a build argument.

    Raises: DockerfileError: an option that there is not, or an ``error`` that is neither
    true nor false.
    """
    value = given or dockerfile.directives.get("check", "")
    if not value:
        return Policy()
    options: dict[str, str] = {}
    for part in value.split(";"):
        name, _, given = part.strip().partition("=")
        if name not in ("skip", "error", "experimental"):
            raise _wrong(dockerfile, text, f"invalid check option {part.strip()!r}", part.strip())
        options[name] = given.strip()
    error = options.get("error", "false")
    if error.lower() not in (*_TRUE, *_FALSE):
        raise _wrong(dockerfile, text, f"check: error is true or false, not {error!r}", error)
    return Policy(
        _names(options.get("skip", "")),
        _names(options.get("experimental", "")),
        error.lower() in _TRUE,
    )


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())


def _wrong(dockerfile: Dockerfile, text: str, reason: str, part: str) -> DockerfileError:
    if part not in text:
        return DockerfileError(f"{reason} (in the build argument {ARGUMENT})", file=dockerfile.file)
    for number, line in enumerate(text.split("\n"), 1):
        if line.lower().removeprefix("\ufeff").lstrip().removeprefix("#").lstrip()[:5] == "check":
            return DockerfileError(
                reason,
                line=number,
                source=line.rstrip("\r"),
                part=part,
                file=dockerfile.file,
                hint="write it as # check=skip=RULE,RULE;error=true",
            )
    return DockerfileError(reason, file=dockerfile.file)
