"""`--change`: Dockerfile instructions applied to an image's configuration without a build.

The instructions that Docker's import and commit take: CMD, ENTRYPOINT, ENV, EXPOSE,
HEALTHCHECK, LABEL, ONBUILD, SHELL, STOPSIGNAL, USER, VOLUME, WORKDIR.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

import msgspec

from corten.dockerfile import instructions as kinds
from corten.dockerfile.expansion import expand, expand_words
from corten.dockerfile.instructions import Command, Instruction
from corten.dockerfile.parser import parse_nodes, typed
from corten.errors import Invalid
from corten.oci.image_config import ContainerConfig, Healthcheck

_SHELL = ("/bin/sh", "-c")
_PORT = re.compile(r"(\d{1,5})(?:/(tcp|udp|sctp))?", re.ASCII)
_ALLOWED = (
    "CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, SHELL, STOPSIGNAL, USER, VOLUME"
    " and WORKDIR can be given"
)


def apply_changes(config: ContainerConfig, changes: Sequence[str]) -> ContainerConfig:
    """`config` after the instructions, in order.  Variables are those of ENV.

    Raises: Invalid: malformed, or an instruction that needs a build.
    """
    for text in changes:
        nodes = parse_nodes(text)
        if not nodes:
            raise Invalid(f"--change {text!r} is not an instruction", hint=_ALLOWED)
        for node in nodes:
            config = _apply(config, typed(node))
    return config


def _apply(config: ContainerConfig, instruction: Instruction) -> ContainerConfig:
    scope = config.environment()

    def with_(**changed: object) -> ContainerConfig:
        return msgspec.structs.replace(config, **changed)

    match instruction:
        case kinds.Cmd(command=command):
            return with_(cmd=_arguments(config, command))
        case kinds.Entrypoint(command=command):
            return with_(entrypoint=_arguments(config, command))
        case kinds.Env(pairs=pairs):
            env = {**scope, **_expanded(pairs, scope)}
            return with_(env=tuple(f"{name}={value}" for name, value in env.items()))
        case kinds.Label(pairs=pairs):
            return with_(labels={**config.labels, **_expanded(pairs, scope)})
        case kinds.Expose(ports=words):
            ports = [_port(port) for word in words for port in expand_words(word, scope)]
            return with_(exposed_ports={**config.exposed_ports, **{port: {} for port in ports}})
        case kinds.Volume(paths=paths):
            names = [expand(path, scope) for path in paths]
            return with_(volumes={**config.volumes, **{name: {} for name in names}})
        case kinds.User(user=user):
            return with_(user=expand(user, scope))
        case kinds.Workdir(path=path):
            joined = posixpath.join("/", config.working_dir, expand(path, scope))
            return with_(working_dir="/" + posixpath.normpath(joined).lstrip("/"))
        case kinds.Stopsignal(signal=signal):
            return with_(stop_signal=expand(signal, scope))
        case kinds.Shell(args=args):
            return with_(shell=args)
        case kinds.Onbuild(trigger=trigger):
            return with_(on_build=(*config.on_build, trigger))
        case kinds.Healthcheck():
            return with_(healthcheck=_healthcheck(instruction))
    raise Invalid(f"--change cannot do {instruction.keyword}", hint=_ALLOWED)


def _arguments(config: ContainerConfig, command: Command) -> tuple[str, ...]:
    if not command.shell:
        return command.args
    return (*(config.shell or _SHELL), *command.args)


def _expanded(pairs: Sequence[tuple[str, str]], scope: dict[str, str]) -> dict[str, str]:
    return {expand(name, scope): expand(value, scope) for name, value in pairs}


def _port(text: str) -> str:
    match = _PORT.fullmatch(text)
    if match is None or not 0 < int(match[1]) < 65536:
        raise Invalid(f"{text!r} is not a port", hint="write it as 80 or 53/udp")
    return f"{int(match[1])}/{match[2] or 'tcp'}"


def _healthcheck(instruction: kinds.Healthcheck) -> Healthcheck:
    command = instruction.command
    if command is None:
        return Healthcheck(test=("NONE",))
    return Healthcheck(
        test=("CMD-SHELL" if command.shell else "CMD", *command.args),
        interval=instruction.interval,
        timeout=instruction.timeout,
        start_period=instruction.start_period,
        start_interval=instruction.start_interval,
        retries=instruction.retries,
    )
