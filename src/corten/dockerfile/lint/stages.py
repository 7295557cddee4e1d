"""Rules about FROM and the names of stages."""

from __future__ import annotations

from collections.abc import Iterator

from corten.dockerfile import instructions as kinds
from corten.dockerfile.errors import did_you_mean
from corten.dockerfile.expansion import ExpansionError, missing_variables
from corten.dockerfile.instructions import Instruction
from corten.dockerfile.lint.finding import Hit
from corten.dockerfile.lint.scope import GlobalScope
from corten.dockerfile.lint.subject import SCRATCH, State, Subject
from corten.errors import Invalid
from corten.oci.platform import Platform
from corten.oci.reference import Reference

_RESERVED = ("scratch", "context")
_TARGET = "TARGETPLATFORM"
_CANDIDATES = 200
"""So many names a misspelt one is compared with."""


def duplicate_name(subject: Subject) -> Iterator[Hit]:
    """Two stages of one name."""
    seen: set[str] = set()
    for stage in subject.needed:
        if stage.name in seen:
            message = f"Duplicate stage name '{stage.name}', stage names should be unique"
            yield Hit(stage.source, message, stage.source.node.args[2])
        if stage.name:
            seen.add(stage.name)


def reserved_name(instruction: Instruction, state: State, subject: Subject) -> Iterator[Hit]:
    """A stage called ``scratch`` or ``context``."""
    if isinstance(instruction, kinds.From) and instruction.name in _RESERVED:
        message = f"'{instruction.name}' is reserved and should not be used as a stage name"
        yield Hit(instruction, message, instruction.node.args[2])


def undeclared(subject: Subject, source: kinds.From) -> list[str]:
    """The variables of a FROM that no ARG before the first FROM declares."""
    found = []
    for word in (source.image, source.platform):
        try:
            names = missing_variables(word, subject.globals.names, subject.dockerfile.escape)
        except ExpansionError as error:
            raise source.node.error(error.message, word).located(subject.dockerfile.file) from None
        found += names
    return found


def undefined_argument(subject: Subject) -> Iterator[Hit]:
    """A variable in FROM without its ARG."""
    guesses = 20
    for stage in subject.needed:
        for name in dict.fromkeys(undeclared(subject, stage.source)):
            hint = ""
            if guesses:
                guesses -= 1
                guess = did_you_mean(name, sorted(subject.globals.names)[:_CANDIDATES])
                hint = f" ({guess})" if guess.endswith("?") else ""
            yield Hit(stage.source, f"FROM argument '{name}' is not declared{hint}", f"${name}")


def invalid_default(subject: Subject) -> Iterator[Hit]:
    """A base image's name that only makes sense with ``--build-arg``."""
    if not subject.dockerfile.arguments:
        return
    scope = GlobalScope(subject.dockerfile, {}, subject.around.automatic)
    for stage in subject.needed:
        source = stage.source
        # A name that is not declared is another rule's.
        if "$" not in source.image or undeclared(subject, source):
            continue
        name = subject.with_defaults(source, scope)
        if name is None or _is_image(name):
            continue
        message = (
            f"Default value for ARG {source.image} results in empty or invalid base image name"
        )
        yield Hit(source, message, source.image)


def _is_image(name: str) -> bool:
    if name == SCRATCH:
        return True
    try:
        Reference.parse(name)
    except Invalid:
        return False
    # "busybox:" parses where a tag is filled in.
    return not name.endswith(":")


def constant_platform(instruction: Instruction, state: State, subject: Subject) -> Iterator[Hit]:
    """``--platform=linux/amd64``, unless the stage's name says that it is for that."""
    if not isinstance(instruction, kinds.From) or not instruction.platform:
        return
    if "$" in instruction.platform:
        return
    try:
        platform = Platform.parse(instruction.platform)
    except Invalid:
        return
    if platform.os in instruction.name or platform.architecture in instruction.name:
        return
    message = f'FROM --platform flag should not use constant value "{instruction.platform}"'
    yield Hit(instruction, message, instruction.platform)


def redundant_platform(instruction: Instruction, state: State, subject: Subject) -> Iterator[Hit]:
    """``--platform=$TARGETPLATFORM``, which is what FROM does anyway."""
    if not isinstance(instruction, kinds.From) or _TARGET in subject.globals.declared:
        return
    if instruction.platform in (f"${_TARGET}", f"${{{_TARGET}}}"):
        message = (
            f"Setting platform to predefined ${_TARGET} in FROM is redundant "
            "as this is the default behavior"
        )
        yield Hit(instruction, message, f"--platform={instruction.platform}")


def image_platform(subject: Subject) -> Iterator[Hit]:
    """A base image that is there, but for another platform."""
    for stage, image, wanted in subject.foreign():
        facts = subject.around.bases.get((image, str(wanted)))
        if facts is None or facts.platform is None or facts.platform.matches(wanted):
            continue
        message = (
            f'Base image {image} was pulled with platform "{facts.platform}", '
            f'expected "{wanted}" for current build'
        )
        yield Hit(stage.source, message, stage.source.image)
