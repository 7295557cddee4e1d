"""Which variables an instruction sees.

Spec: Dockerfile reference, "ARG", sections "Scope", "Predefined ARGs" and
"Automatic platform ARGs in the global scope".
"""

from __future__ import annotations

from collections.abc import Mapping

from corten.dockerfile.expansion import ExpansionError, expand, expand_words
from corten.dockerfile.instructions import Arg, Dockerfile, Instruction
from corten.errors import Invalid
from corten.oci.platform import Platform

PROXIES = tuple(
    name
    for word in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (word, word.lower())
)
"""Variables that may be given without ARG, and are then in no cache key and no history."""

EPOCH = "SOURCE_DATE_EPOCH"
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def platform_arguments(target: Platform, build: Platform) -> dict[str, str]:
    """The automatic arguments: ``TARGETPLATFORM``, ``BUILDARCH`` and so on."""
    found = {}
    for prefix, platform in (("TARGET", target), ("BUILD", build)):
        found[f"{prefix}PLATFORM"] = str(platform)
        found[f"{prefix}OS"] = platform.os
        found[f"{prefix}ARCH"] = platform.architecture
        found[f"{prefix}VARIANT"] = platform.variant
    return found


class Arguments:
    """The global scope: build arguments, automatic ones, and ARG before the first FROM.

    Raises: DockerfileError: a default that cannot be expanded.
    """

    def __init__(
        self,
        dockerfile: Dockerfile,
        given: Mapping[str, str],
        automatic: Mapping[str, str],
        hosts: tuple[str, ...] = (),
        pins: Mapping[str, str] | None = None,
    ) -> None:
        self.hosts = hosts
        self.pins = pins
        self.given = dict(given)
        self.automatic = dict(automatic)
        self.escape = dockerfile.escape
        self.file = dockerfile.file
        self.declared: dict[str, str | None] = {}
        self.used: set[str] = set()
        for instruction in dockerfile.arguments:
            for name, default in instruction.pairs:
                self.declared[name] = self._value(instruction, name, default, self.globals())

    def globals(self) -> dict[str, str]:
        """What FROM sees."""
        known = {name: value for name, value in self.declared.items() if value is not None}
        return {**self.automatic, **known}

    def _value(
        self, instruction: Arg, name: str, default: str | None, scope: Mapping[str, str]
    ) -> str | None:
        if name in self.given:
            self.used.add(name)
            return self.given[name]
        if default is None:
            return self.automatic.get(name)
        return self.expand(instruction, default, scope)

    def in_stage(
        self, instruction: Arg, name: str, default: str | None, scope: Mapping[str, str]
    ) -> str | None:
        """The value of an ARG inside a stage; None where it has none.  Raises: DockerfileError."""
        if default is None and name not in self.given and self.declared.get(name) is not None:
            return self.declared[name]
        return self._value(instruction, name, default, scope)

    def expand(self, instruction: Instruction, word: str, scope: Mapping[str, str]) -> str:
        """`word` expanded.  Raises: DockerfileError: with the instruction's line."""
        try:
            return expand(word, scope, self.escape)
        except ExpansionError as error:
            raise instruction.node.error(error.message, word).located(self.file) from None

    def expand_words(
        self, instruction: Instruction, word: str, scope: Mapping[str, str]
    ) -> list[str]:
        """`word` expanded and divided.  Raises: DockerfileError."""
        try:
            return expand_words(word, scope, self.escape)
        except ExpansionError as error:
            raise instruction.node.error(error.message, word).located(self.file) from None

    @property
    def epoch(self) -> int | None:
        """SOURCE_DATE_EPOCH in Unix seconds.  Raises: Invalid: it is no such number."""
        text = self.given.get(EPOCH) or self.declared.get(EPOCH)
        if not text:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 12):
            raise Invalid(f"{EPOCH} {text!r} is not a number of seconds")
        return int(text)

    def unused(self) -> list[str]:
        """Build arguments that no ARG asked for; proxies may always be given."""
        silent = {*PROXIES, EPOCH, *(name for name in self.given if name.startswith("BUILDKIT_"))}
        return sorted(name for name in self.given if name not in self.used and name not in silent)
