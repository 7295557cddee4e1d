"""Rules about what a container does: CMD, ENTRYPOINT, HEALTHCHECK, MAINTAINER, WORKDIR."""

from __future__ import annotations

import re
from collections.abc import Iterator

from corten.dockerfile import instructions as kinds
from corten.dockerfile.instructions import Instruction
from corten.dockerfile.lint.finding import Hit
from corten.dockerfile.lint.subject import State, Subject

AUTHORS = "org.opencontainers.image.authors"
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,-][A-Za-z0-9_./:@%+,=-]*", re.ASCII)
_OWN = (
    ". : [ alias bg break case cd command continue do done elif else esac eval exec exit export "
    "false fc fg fi for function getopts hash if in jobs kill let local printf pwd read readonly "
    "return select set shift source test then time times trap true type typeset ulimit umask "
    "unalias unset until wait while declare echo builtin enable help history logout popd pushd "
    "dirs disown shopt suspend bind caller compgen complete compopt mapfile readarray coproc"
)
_SHELLS_OWN = frozenset(_OWN.split())
"""Words that a shell carries out itself or reads as its language."""


def plain_words(text: str) -> list[str] | None:
    """The words of a shell command that a shell would start as they are, else None.

    No quotes, variables, patterns, redirections, assignments and no word of the shell's own;
    a leading ``exec`` is left away.
    """
    words = text.split()
    if words and words[0] == "exec":
        words = words[1:]
    if not words or words[0] in _SHELLS_OWN or "=" in words[0] or words[0].startswith("-"):
        return None
    return words if all(_PLAIN.fullmatch(word) for word in words) else None


def json_arguments(instruction: Instruction, state: State, subject: Subject) -> Iterator[Hit]:
    """CMD or ENTRYPOINT in shell form, where nobody chose a shell."""
    if not isinstance(instruction, kinds.Cmd | kinds.Entrypoint) or state.shell:
        return
    command = instruction.command
    if not command.shell or not command.args:
        return
    # An image's entrypoint sees which form it was; and CMD is nothing to a shell's command.
    if isinstance(instruction, kinds.Cmd):
        alone = state.entrypoint is False and not subject.has(kinds.Entrypoint)
    else:
        alone = not subject.has(kinds.Cmd)
    message = (
        f"JSON arguments recommended for {instruction.keyword} "
        "to prevent unintended behavior related to OS signals"
    )
    certain = alone and plain_words(command.args[0]) is not None
    yield Hit(instruction, message, command.args[0], certain)


def several(instruction: Instruction, state: State, subject: Subject) -> Iterator[Hit]:
    """A second CMD, ENTRYPOINT or HEALTHCHECK: the one before it counts for nothing."""
    before = state.seen.get(instruction.keyword)
    if before is not None:
        message = (
            f"Multiple {instruction.keyword} instructions should not be used in the same stage "
            "because only the last one will be used"
        )
        yield Hit(before, message)


def maintainer(instruction: Instruction, state: State, subject: Subject) -> Iterator[Hit]:
    """MAINTAINER."""
    if not isinstance(instruction, kinds.Maintainer):
        return
    labelled = any(
        name.strip("\"'") == AUTHORS
        for one in state.stage.instructions
        if isinstance(one, kinds.Label)
        for name, _ in one.pairs
    )
    plain = not set(instruction.name) & {'"', "'", "$", subject.dockerfile.escape}
    message = "Maintainer instruction is deprecated in favor of using label"
    yield Hit(instruction, message, "", plain and not labelled)


def relative_workdir(instruction: Instruction, state: State, subject: Subject) -> Iterator[Hit]:
    """The file's first WORKDIR of a stage goes on from where the base image stands."""
    if not isinstance(instruction, kinds.Workdir) or state.workdir:
        return
    path = state.scope.value(instruction.path)
    if path and not path.startswith("/"):
        message = f"Relative workdir '{path}' can have unexpected results if the base image changes"
        yield Hit(instruction, message, instruction.path)
