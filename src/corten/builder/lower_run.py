"""RUN: from the instruction to the step that carries it out.  Pure.

Spec: Dockerfile reference, "RUN" and "Here-Documents".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from corten.builder.graph import Copy, Run, Scratch, Step
from corten.dockerfile import instructions as kinds
from corten.dockerfile.errors import DockerfileError
from corten.dockerfile.mounts import BindMount, CacheMount, Mount, MountFlag, typed_mount
from corten.dockerfile.patterns import has_magic
from corten.errors import Invalid

if TYPE_CHECKING:
    from corten.builder.stage import StageState

SCRIPTS = "/dev/pipes"
"""Where here-documents with an interpreter line are; /dev is in no layer."""
BOUND = "/bound"
"""Where in the layer made of it that is which is bound from a context."""

_HEREDOC_ALONE = re.compile(r"<<-?[\"']*[^\s\"']+[\"']*")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", re.ASCII)
_MAGIC = re.compile(r"([*?\[\]\\])")


def lower_run(state: StageState, instruction: kinds.Run, origins: Mapping[str, Step]) -> None:
    """Put a RUN on the stage.  Raises: DockerfileError."""
    if instruction.devices:
        raise state.error(instruction, "RUN --device is not supported by this version")
    args, script = _command(state, instruction)
    if not args or not args[0]:
        raise state.error(instruction, "RUN needs a command")
    seen = {name: value for name, value in state.args.items() if name not in state.env}
    declared = [f"{name}={value}" for name, value in seen.items()]
    inputs: list[Step] = []
    mounts = tuple(_mounts(state, instruction, origins, inputs))
    op = Run(
        args=args,
        env=(*declared, *(f"{name}={value}" for name, value in state.env.items())),
        cwd=state.container.working_dir or "/",
        user=state.container.user,
        network=instruction.network,
        mounts=mounts,
        script=script,
        security=instruction.security,
        hosts=state.arguments.hosts,
    )
    prefix = f"|{len(declared)} {' '.join(declared)} " if declared else ""
    shown = script or " ".join(args)
    state.advance(op, f"RUN {prefix}{shown}", *inputs)


def _mounts(
    state: StageState,
    instruction: kinds.Run,
    origins: Mapping[str, Step],
    inputs: list[Step],
) -> list[Mount]:
    """The mounts; what they show joins `inputs`, of which the stage itself is number 0."""
    found: list[Mount] = []
    taken: set[str] = set()
    for flag in instruction.mounts:
        mount = _typed(state, instruction, flag)
        if mount.target in taken:
            raise state.error(
                instruction, f"--mount: two mounts have the target {mount.target}", mount.target
            )
        taken |= {mount.target} - {""}
        origin: Step | None = None
        if isinstance(mount, BindMount | CacheMount) and mount.origin:
            origin = origins[mount.origin]
            named = origin.op.context if isinstance(origin.op, Copy) else ""
            if named and isinstance(mount, BindMount):
                # No more of a named context than what is bound has to be read.
                origin = state.part(_of_context(mount.source, str(state.platform), named))
                mount = msgspec.structs.replace(mount, source=BOUND)
        elif isinstance(mount, BindMount):
            # The files are taken as COPY takes them: without what is ignored, and known by
            # their content.
            origin = state.part(_of_context(mount.source, str(state.platform)))
            mount = msgspec.structs.replace(mount, source=BOUND)
        if origin is not None:
            if origin not in inputs:
                inputs.append(origin)
            number = str(inputs.index(origin) + 1)
            mount = msgspec.structs.replace(mount, origin=number)
        found.append(mount)
    return found


def _typed(state: StageState, instruction: kinds.Run, flag: MountFlag) -> Mount:
    try:
        return typed_mount(
            flag,
            lambda word: state.expand(instruction, word),
            state.container.working_dir or "/",
        )
    except DockerfileError:
        raise
    except Invalid as error:
        raise state.error(instruction, error.message, "", error.hint) from None


def _of_context(source: str, platform: str, context: str = "") -> Step:
    """What is at `source` of a context (unnamed: the build's), as a layer of its own."""
    if has_magic(source):
        source = _MAGIC.sub(r"\\\1", source)
    return Step(
        Copy(sources=(source,), destination=BOUND, context=context),
        (Step(Scratch(), (), platform),),
        platform,
    )


def _command(state: StageState, instruction: kinds.Run) -> tuple[tuple[str, ...], str]:
    """What is executed, and the content of the program if it stands in the Dockerfile."""
    command = instruction.command
    if not command.shell or not command.heredocs:
        return state.arguments_of(instruction, command), ""
    text = command.args[0] if command.args else ""
    first = command.heredocs[0]
    if len(command.heredocs) == 1 and not _HEREDOC_ALONE.sub("", text):
        if first.content.startswith("#!"):
            name = first.name if _PLAIN_NAME.fullmatch(first.name) else "script"
            return (f"{SCRIPTS}/{name}",), first.content
        return (*state.shell(), first.content), ""
    documents = "".join(f"{doc.content}{doc.name}\n" for doc in command.heredocs)
    return (*state.shell(), f"{text}\n{documents}"), ""
