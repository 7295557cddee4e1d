"""Rules about upper and lower case."""

from __future__ import annotations

from collections.abc import Iterator

from corten.dockerfile import instructions as kinds
from corten.dockerfile.instructions import Instruction
from corten.dockerfile.lint.finding import Hit
from corten.dockerfile.lint.subject import State, Subject


def keyword_as_written(instruction: Instruction) -> str:
    """The instruction's first word."""
    return instruction.text[: len(instruction.node.keyword)]


def instruction_casing(subject: Subject) -> Iterator[Hit]:
    """Keywords that are not as most others are; upper case where there are as many of both."""
    words = [keyword_as_written(one) for one in subject.instructions()]
    lower = sum(word.islower() for word in words)
    upper = sum(word.isupper() for word in words)
    wanted = "lowercase" if lower > upper else "uppercase"
    for instruction, word in zip(subject.instructions(), words, strict=True):
        if not (word.islower() if lower > upper else word.isupper()):
            message = f"Command '{word}' should match the case of the command majority ({wanted})"
            yield Hit(instruction, message, word)


def as_casing(instruction: Instruction, state: State, subject: Subject) -> Iterator[Hit]:
    """AS in another case than FROM; a FROM in mixed case is another rule's."""
    if not isinstance(instruction, kinds.From) or not instruction.name:
        return
    word, keyword = instruction.node.args[1], keyword_as_written(instruction)
    differs = (keyword.islower() and not word.islower()) or (
        keyword.isupper() and not word.isupper()
    )
    if differs:
        yield Hit(instruction, f"'{word}' and '{keyword}' keywords' casing do not match", word)


def stage_name_casing(instruction: Instruction, state: State, subject: Subject) -> Iterator[Hit]:
    """A stage's name in upper case."""
    if not isinstance(instruction, kinds.From) or not instruction.name:
        return
    written = instruction.node.args[2]
    if written != instruction.name:
        yield Hit(instruction, f"Stage name '{written}' should be lowercase", written)


def protocol_casing(instruction: Instruction, state: State, subject: Subject) -> Iterator[Hit]:
    """EXPOSE 80/TCP."""
    if not isinstance(instruction, kinds.Expose):
        return
    for port in instruction.ports:
        protocol = port.partition("/")[2]
        if protocol != protocol.lower() and "$" not in protocol:
            message = f"Defined protocol '{port}' in EXPOSE instruction should be lowercase"
            yield Hit(instruction, message, port)
