"""Rules about names and values: old forms, secrets, ports."""

from __future__ import annotations

import re
from collections.abc import Iterator

from corten.dockerfile import instructions as kinds
from corten.dockerfile.instructions import Instruction
from corten.dockerfile.lint.finding import Hit
from corten.dockerfile.lint.subject import State, Subject

_SECRET = re.compile(
    r"(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)",
    re.IGNORECASE,
)
_PUBLIC = re.compile(r"(?:_|^)public(?:_|$)", re.IGNORECASE)
_VALUE_LIKE = re.compile(r"[a-z0-9.]", re.ASCII)


def old_form(instruction: Instruction, state: State, subject: Subject) -> Iterator[Hit]:
    """``ENV name value``; and ``ARG name value``, which declares two names."""
    if isinstance(instruction, kinds.Env | kinds.Label) and instruction.node.old_form:
        yield _old(instruction, instruction.pairs[0][0], True)
    elif isinstance(instruction, kinds.Arg) and len(instruction.pairs) == 2:
        (name, first), (value, second) = instruction.pairs
        if first is None and second is None and _means_a_value(value, subject):
            yield _old(instruction, name, False)


def _old(instruction: Instruction, part: str, certain: bool) -> Hit:
    word = instruction.keyword
    message = f'"{word} key=value" should be used instead of legacy "{word} key value" format'
    return Hit(instruction, message, part, certain)


def _means_a_value(word: str, subject: Subject) -> bool:
    """A second name that stands nowhere else in the file and is not written like a variable."""
    return bool(_VALUE_LIKE.match(word)) and subject.words[word] == 1


def secrets(instruction: Instruction, state: State | None, subject: Subject) -> Iterator[Hit]:
    """ARG and ENV with names of secrets: their values stay in the image."""
    if not isinstance(instruction, kinds.Arg | kinds.Env):
        return
    for name, _ in instruction.pairs:
        if _SECRET.search(name) and not _PUBLIC.search(name):
            message = (
                "Do not use ARG or ENV instructions for sensitive data "
                f'({instruction.keyword} "{name}")'
            )
            yield Hit(instruction, message, name)


def port_format(instruction: Instruction, state: State, subject: Subject) -> Iterator[Hit]:
    """EXPOSE with a host's address or port, which ``run -p`` decides about."""
    if not isinstance(instruction, kinds.Expose):
        return
    for port in instruction.ports:
        shown = port if "$" not in port else state.scope.value(port) or ""
        if ":" in shown:
            message = (
                "EXPOSE instruction should not define an IP address or host-port mapping, "
                f"found '{shown}'"
            )
            yield Hit(instruction, message, port, "$" not in port)
