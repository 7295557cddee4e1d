"""RUN: from the instruction to the step that carries it out.  Pure.

Spec: Dockerfile reference, "RUN" and "Here-Documents".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from corten.builder.graph import Run, Step
from corten.dockerfile import instructions as kinds

if TYPE_CHECKING:
    from corten.builder.stage import StageState

_HEREDOC_ALONE = re.compile(r"<<-?[\"']*[^\s\"']+[\"']*")


def lower_run(state: StageState, instruction: kinds.Run, origins: Mapping[str, Step]) -> None:
    """Put a RUN on the stage.  Raises: DockerfileError."""
    for given, flag in (
        (instruction.mounts, "mount"),
        (instruction.security != "sandbox", "security"),
        (instruction.devices, "device"),
    ):
        if given:
            raise state.error(instruction, f"RUN --{flag} is not supported by this version")
    args = _command(state, instruction)
    if not args or not args[0]:
        raise state.error(instruction, "RUN needs a command")
    seen = {name: value for name, value in state.args.items() if name not in state.env}
    declared = [f"{name}={value}" for name, value in seen.items()]
    op = Run(
        args=args,
        env=(*declared, *(f"{name}={value}" for name, value in state.env.items())),
        cwd=state.container.working_dir or "/",
        user=state.container.user,
        network=instruction.network,
    )
    prefix = f"|{len(declared)} {' '.join(declared)} " if declared else ""
    state.advance(op, f"RUN {prefix}{' '.join(args)}")


def _command(state: StageState, instruction: kinds.Run) -> tuple[str, ...]:
    """What is executed; here-documents go to the shell too."""
    command = instruction.command
    if not command.shell or not command.heredocs:
        return state.arguments_of(instruction, command)
    text = command.args[0] if command.args else ""
    first = command.heredocs[0]
    if len(command.heredocs) == 1 and not _HEREDOC_ALONE.sub("", text):
        if first.content.startswith("#!"):
            raise state.error(
                instruction,
                "a here-document with an interpreter line (#!) is not supported",
                hint=f"name the interpreter: RUN <<{first.name} PROGRAM",
            )
        return (*state.shell(), first.content)
    documents = "".join(f"{doc.content}{doc.name}\n" for doc in command.heredocs)
    return (*state.shell(), f"{text}\n{documents}")
