"""Rules about empty lines and comments."""

from __future__ import annotations

from collections.abc import Iterator

from corten.dockerfile import instructions as kinds
from corten.dockerfile.instructions import Instruction
from corten.dockerfile.lint.finding import Hit
from corten.dockerfile.lint.subject import State, Subject

_SHOWN = 200


def empty_continuation(subject: Subject) -> Iterator[Hit]:
    """An empty line after a line that goes on."""
    for instruction in subject.instructions():
        line = instruction.node.line
        if subject.layout.blanks(line):
            text = line.text if len(line.text) <= _SHOWN else line.text[: _SHOWN - 1] + "…"
            yield Hit(instruction, f"Empty continuation line found in: {text}")


def description(instruction: Instruction, state: State | None, subject: Subject) -> Iterator[Hit]:
    """A comment right above FROM … AS or ARG that does not begin with the name."""
    if isinstance(instruction, kinds.From):
        names = [instruction.node.args[2]] if instruction.name else []
    elif isinstance(instruction, kinds.Arg):
        names = [name for name, _ in instruction.pairs]
    else:
        return
    comment = _above(subject, instruction.line)
    if not comment or not names or comment.split(" ")[0] in names:
        return
    wanted = names[0] if len(names) == 1 else "<arg_key>"
    message = (
        f"Comment for {instruction.keyword} should follow the format: `# {wanted} <description>`. "
        "If this is not intended to be a description comment, add an empty line or comment "
        "between the instruction and the comment."
    )
    yield Hit(instruction, message)


def _above(subject: Subject, line: int) -> str:
    """The text of the comment in the line above; empty where there is none, or a directive."""
    if line - 1 <= len(subject.dockerfile.directives):
        return ""
    text = subject.layout.source(line - 1).strip()
    return text[1:].strip() if text.startswith("#") else ""
