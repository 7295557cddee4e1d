"""What a check says, and what it may know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from corten.dockerfile.ignore import Ignore
from corten.dockerfile.instructions import Instruction
from corten.dockerfile.lint.layout import Spot
from corten.oci.platform import Platform

_LINKS = "https://docs.docker.com/go/dockerfile/rule/"


class Hit(NamedTuple):
    """What a rule found: the instruction, what is said about it, and the part that is meant.

    ``certain``: if the rule is fixable, that this can be mended without a doubt.
    """

    instruction: Instruction
    message: str
    part: str = ""
    certain: bool = True


class Rule(msgspec.Struct, frozen=True):
    """What is known about a rule beside how it is checked.

    ``page`` is the last part of its page's address, empty where it has none.  An
    ``experimental`` rule is checked only where the file asks for it; what a ``fixable`` one
    finds can be mended where that is certain.
    """

    name: str
    description: str
    page: str
    experimental: bool = False
    fixable: bool = False

    @property
    def link(self) -> str:
        """The address of the rule's page, or empty."""
        return f"{_LINKS}{self.page}/" if self.page else ""


class Finding(NamedTuple):
    """A rule, broken: where, what is to be said, and whether ``--fix`` can mend it."""

    rule: Rule
    message: str
    instruction: Instruction
    spot: Spot
    certain: bool

    @property
    def line(self) -> int:
        """The physical line (from 1) that it points at."""
        return self.spot.line


class Report(msgspec.Struct, frozen=True):
    """All findings by line.

    ``error`` says that the file wants a build to fail of them; ``unknown`` are names after
    ``skip=`` or ``experimental=`` that are no rule's.
    """

    file: str
    findings: tuple[Finding, ...]
    error: bool = False
    unknown: tuple[str, ...] = ()


class BaseFacts(msgspec.Struct, frozen=True):
    """What checks ask of an image: its variables, what it sets, its ONBUILD triggers."""

    environment: Mapping[str, str]
    entrypoint: bool = False
    shell: bool = False
    triggers: tuple[str, ...] = ()
    platform: Platform | None = None


class Surroundings(msgspec.Struct, frozen=True):
    """What a Dockerfile is checked with.

    ``automatic`` are the platform arguments.  ``bases`` are images by name as written and
    platform as text; of those that are not there nothing is known.  With a ``target`` only
    what that stage needs is checked; ``last`` makes the last stage the target where none is
    named, as a build does.
    """

    build_args: Mapping[str, str] = {}
    automatic: Mapping[str, str] = {}
    platform: Platform = Platform(architecture="amd64", os="linux")
    bases: Mapping[tuple[str, str], BaseFacts] = {}
    ignore: Ignore = Ignore()
    target: str = ""
    last: bool = False
