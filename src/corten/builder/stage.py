"""What one stage's instructions do to the image to be: a state and a method per instruction.  Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping

from corten.builder.graph import MakeDirectory, Operation, Step
from corten.builder.lower_copy import lower_copy
from corten.builder.lower_run import lower_run
from corten.builder.plan import BaseImage, Entry
from corten.builder.ports import exposed, is_signal
from corten.builder.scope import DEFAULT_PATH, Arguments
from corten.dockerfile import instructions as kinds
from corten.dockerfile.errors import DockerfileError
from corten.dockerfile.instructions import Command, Instruction
from corten.errors import Invalid
from corten.oci.image_config import ContainerConfig, Healthcheck
from corten.oci.platform import Platform

DEFAULT_SHELL = ("/bin/sh", "-c")
_NONE: Mapping[str, Step] = {}


class StageState:
    """An image in the making.  Mutable; one stage's lowering owns it."""

    def __init__(self, arguments: Arguments, platform: Platform) -> None:
        self.arguments = arguments
        self.platform = platform
        self.step: Step
        self.base: BaseImage | None = None
        self.entries: list[Entry] = []
        self.args: dict[str, str] = {}
        self.author = ""
        self.labels: dict[str, str] = {}
        self.triggers: tuple[str, ...] = ()
        self.env: dict[str, str] = {}
        self.container = ContainerConfig()
        self._command_set = False
        self._warnings: list[str] = []
        self._parts: list[Step] = []
        self.file = arguments.file

    def begin(self, step: Step, base: BaseImage | None) -> None:
        """Start upon an image, or upon nothing."""
        self.step = step
        self.base = base
        if base is None:
            self.env = {"PATH": DEFAULT_PATH}
            self.container = ContainerConfig(working_dir="/")
            return
        container = base.config.config
        self.container = container
        self.env = container.environment()
        self.env.setdefault("PATH", DEFAULT_PATH)
        self.labels = dict(container.labels)
        self.triggers = container.on_build
        self.author = base.config.author

    @classmethod
    def upon(cls, other: StageState, arguments: Arguments) -> StageState:
        """Start upon another stage: its image and its ARGs are inherited."""
        state = cls(arguments, other.platform)
        state.step, state.base = other.step, other.base
        state.entries = list(other.entries)
        state.args, state.author = dict(other.args), other.author
        state.labels, state.triggers = dict(other.labels), other.triggers
        state.env, state.container = dict(other.env), other.container
        return state

    def take_triggers(self) -> tuple[str, ...]:
        """The base's ONBUILD triggers, which are not inherited further."""
        taken, self.triggers = self.triggers, ()
        return taken

    def take_warnings(self) -> list[str]:
        """Warnings since the last call."""
        taken, self._warnings = self._warnings, []
        return taken

    def take_parts(self) -> list[Step]:
        """Steps beside the stage's own that instructions since the last call are made of."""
        taken, self._parts = self._parts, []
        return taken

    def config(self, labels: Mapping[str, str]) -> ContainerConfig:
        """The execution parameters of the image, with these labels."""
        return self._with(
            env=tuple(f"{name}={value}" for name, value in self.env.items()),
            labels=dict(labels),
            on_build=self.triggers,
        )

    def apply(self, instruction: Instruction, origins: Mapping[str, Step] = _NONE) -> None:
        """Carry out one instruction; `origins` has the step of each of its ``origins``.

        Raises: DockerfileError.
        """
        make = _STEPS.get(type(instruction))
        if make is not None:
            make(self, instruction, origins)
        else:
            _ACTIONS[type(instruction)](self, instruction)

    # What carrying out an instruction may do to the state.

    def note(self, text: str, step: Step | None = None) -> None:
        """A line of history."""
        self.entries.append(Entry(text, step, self.author))

    def advance(self, op: Operation, text: str, *more: Step) -> None:
        """Put `op` on what is there (its further inputs: `more`), with a line of history."""
        self.step = Step(op, (self.step, *more), str(self.platform))
        self.note(text, self.step)

    def part(self, step: Step) -> Step:
        """Note a step that an instruction needs beside the stage's own."""
        self._parts.append(step)
        return step

    def warn(self, instruction: Instruction, text: str) -> None:
        """A warning with the instruction's place."""
        self._warnings.append(f"{self.file}:{instruction.line}: {text}")

    def error(
        self, instruction: Instruction, reason: str, part: str = "", hint: str = ""
    ) -> DockerfileError:
        """An error with the instruction's place."""
        return instruction.node.error(reason, part, hint).located(self.file)

    def scope(self) -> dict[str, str]:
        """The variables that an instruction sees."""
        return {**self.args, **self.env}

    def expand(self, instruction: Instruction, word: str) -> str:
        """`word` expanded in that scope.  Raises: DockerfileError."""
        return self.arguments.expand(instruction, word, self.scope())

    def absolute(self, path: str) -> str:
        """A path from the root, where relative ones begin in the working directory."""
        joined = posixpath.join("/", self.container.working_dir, path)
        return "/" + posixpath.normpath(joined).lstrip("/")

    def arguments_of(self, instruction: Instruction, command: Command) -> tuple[str, ...]:
        """What is executed: the shell form goes to the shell."""
        if not command.shell:
            return command.args
        text = command.args[0] if command.args else ""
        return (*self.shell(), text) if text else ()

    def shell(self) -> tuple[str, ...]:
        """What runs the shell form."""
        return self.container.shell or DEFAULT_SHELL

    # How instructions are carried out.

    def _with(self, **changes: object) -> ContainerConfig:
        fields = {name: getattr(self.container, name) for name in ContainerConfig.__struct_fields__}
        return ContainerConfig(**{**fields, **changes})

    def _set(self, **changes: object) -> None:
        self.container = self._with(**changes)

    def _do_workdir(self, instruction: kinds.Workdir) -> None:
        path = self.expand(instruction, instruction.path)
        if not path:
            raise self.error(instruction, "WORKDIR is empty after expansion", instruction.path)
        path = self.absolute(path)
        self._set(working_dir=path)
        if path == "/":
            self.note("WORKDIR /")
        else:
            op = MakeDirectory(path, self.container.user, self.arguments.epoch or 0)
            self.advance(op, f"WORKDIR {path}")

    def _do_env(self, instruction: kinds.Env) -> None:
        pairs = self._expanded(instruction, instruction.pairs)
        for name, value in pairs:
            if not name or "=" in name:
                raise self.error(instruction, f"ENV: {name!r} is not a variable name")
            self.env[name] = value
        self.note("ENV " + " ".join(f"{name}={value}" for name, value in pairs))

    def _expanded(
        self, instruction: Instruction, pairs: tuple[tuple[str, str], ...]
    ) -> list[tuple[str, str]]:
        # All of one instruction sees the values from before it.
        return [
            (self.expand(instruction, name), self.expand(instruction, value))
            for name, value in pairs
        ]

    def _do_arg(self, instruction: kinds.Arg) -> None:
        shown = []
        for name, default in instruction.pairs:
            value = self.arguments.in_stage(instruction, name, default, self.scope())
            if value is not None:
                self.args[name] = value
            shown.append(name if value is None else f"{name}={value}")
        self.note("ARG " + " ".join(shown))

    def _do_label(self, instruction: kinds.Label) -> None:
        pairs = self._expanded(instruction, instruction.pairs)
        self.labels.update(pairs)
        self.note("LABEL " + " ".join(f"{name}={value}" for name, value in pairs))

    def _do_maintainer(self, instruction: kinds.Maintainer) -> None:
        self.author = instruction.name
        self.note(f"MAINTAINER {instruction.name}")

    def _do_cmd(self, instruction: kinds.Cmd) -> None:
        args = self.arguments_of(instruction, instruction.command)
        self._set(cmd=args)
        self._command_set = True
        self.note(f"CMD {_shown(args)}")

    def _do_entrypoint(self, instruction: kinds.Entrypoint) -> None:
        args = self.arguments_of(instruction, instruction.command)
        # The base's CMD was meant for the base's ENTRYPOINT.
        self._set(entrypoint=args, cmd=self.container.cmd if self._command_set else None)
        self.note(f"ENTRYPOINT {_shown(args)}")

    def _do_shell(self, instruction: kinds.Shell) -> None:
        self._set(shell=instruction.args)
        self.note(f"SHELL [{' '.join(instruction.args)}]")

    def _do_expose(self, instruction: kinds.Expose) -> None:
        ports: list[str] = []
        for word in instruction.ports:
            for text in self.arguments.expand_words(instruction, word, self.scope()):
                try:
                    found = exposed(text)
                except Invalid as error:
                    raise self.error(instruction, error.message, word, error.hint) from None
                ports += found
        self._set(exposed_ports={**self.container.exposed_ports, **{p: {} for p in ports}})
        self.note(f"EXPOSE [{' '.join(ports)}]")

    def _do_volume(self, instruction: kinds.Volume) -> None:
        paths = [self.expand(instruction, path) for path in instruction.paths]
        if not all(paths):
            raise self.error(instruction, "VOLUME: a path is empty after expansion")
        self._set(volumes={**self.container.volumes, **{path: {} for path in paths}})
        self.note(f"VOLUME [{' '.join(paths)}]")

    def _do_user(self, instruction: kinds.User) -> None:
        user = self.expand(instruction, instruction.user)
        if not user:
            raise self.error(instruction, "USER is empty after expansion", instruction.user)
        self._set(user=user)
        self.note(f"USER {user}")

    def _do_stopsignal(self, instruction: kinds.Stopsignal) -> None:
        signal = self.expand(instruction, instruction.signal)
        if not is_signal(signal):
            raise self.error(
                instruction, f"{signal!r} is not a signal", instruction.signal, "such as SIGTERM"
            )
        self._set(stop_signal=signal)
        self.note(f"STOPSIGNAL {signal}")

    def _do_onbuild(self, instruction: kinds.Onbuild) -> None:
        self.triggers = (*self.triggers, instruction.trigger)
        self.note(f"ONBUILD {instruction.trigger}")

    def _do_healthcheck(self, instruction: kinds.Healthcheck) -> None:
        command = instruction.command
        if command is None:
            check = Healthcheck(test=("NONE",))
        else:
            check = Healthcheck(
                test=("CMD-SHELL" if command.shell else "CMD", *command.args),
                interval=instruction.interval,
                timeout=instruction.timeout,
                start_period=instruction.start_period,
                start_interval=instruction.start_interval,
                retries=instruction.retries,
            )
        self._set(healthcheck=check)
        self.note(instruction.text)


def _shown(args: tuple[str, ...]) -> str:
    quoted = (arg.replace("\\", "\\\\").replace('"', '\\"') for arg in args)
    return "[" + " ".join(f'"{arg}"' for arg in quoted) + "]"


_ACTIONS: Mapping[type[Instruction], Callable[..., None]] = {
    kinds.Arg: StageState._do_arg,
    kinds.Cmd: StageState._do_cmd,
    kinds.Entrypoint: StageState._do_entrypoint,
    kinds.Env: StageState._do_env,
    kinds.Expose: StageState._do_expose,
    kinds.Healthcheck: StageState._do_healthcheck,
    kinds.Label: StageState._do_label,
    kinds.Maintainer: StageState._do_maintainer,
    kinds.Onbuild: StageState._do_onbuild,
    kinds.Shell: StageState._do_shell,
    kinds.Stopsignal: StageState._do_stopsignal,
    kinds.User: StageState._do_user,
    kinds.Volume: StageState._do_volume,
    kinds.Workdir: StageState._do_workdir,
}

_STEPS: Mapping[type[Instruction], Callable[..., None]] = {
    kinds.Add: lower_copy,
    kinds.Copy: lower_copy,
    kinds.Run: lower_run,
}
