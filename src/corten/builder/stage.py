"""What one stage's instructions do to the image to be: a state and a method per instruction.  Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping

from corten.builder.graph import Copy, Inline, MakeDirectory, Operation, Run, Step
from corten.builder.plan import BaseImage, Entry
from corten.builder.ports import exposed, is_signal
from corten.builder.scope import DEFAULT_PATH, Arguments
from corten.dockerfile import instructions as kinds
from corten.dockerfile.errors import DockerfileError
from corten.dockerfile.expansion import expand_document
from corten.dockerfile.instructions import Command, Instruction
from corten.dockerfile.lexer import find_heredocs
from corten.errors import Invalid
from corten.oci.image_config import ContainerConfig, Healthcheck
from corten.oci.platform import Platform

DEFAULT_SHELL = ("/bin/sh", "-c")
_OCTAL = re.compile(r"0?[0-7]{3,4}", re.ASCII)
_URL = re.compile(r"https?://", re.IGNORECASE)
_GIT = re.compile(r"git@|git://|ssh://|https?://[^#]*\.git(?:#|$)", re.IGNORECASE)


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
        self._env: dict[str, str] = {}
        self._container = ContainerConfig()
        self._command_set = False
        self._warnings: list[str] = []
        self._file = arguments.file

    def begin(self, step: Step, base: BaseImage | None) -> None:
        """Start upon an image, or upon nothing."""
        self.step = step
        self.base = base
        if base is None:
            self._env = {"PATH": DEFAULT_PATH}
            self._container = ContainerConfig(working_dir="/")
            return
        container = base.config.config
        self._container = container
        self._env = container.environment()
        self._env.setdefault("PATH", DEFAULT_PATH)
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
        state._env, state._container = dict(other._env), other._container
        return state

    def take_triggers(self) -> tuple[str, ...]:
        """The base's ONBUILD triggers, which are not inherited further."""
        taken, self.triggers = self.triggers, ()
        return taken

    def take_warnings(self) -> list[str]:
        """Warnings since the last call."""
        taken, self._warnings = self._warnings, []
        return taken

    def config(self, labels: Mapping[str, str]) -> ContainerConfig:
        """The execution parameters of the image, with these labels."""
        return self._with(
            env=tuple(f"{name}={value}" for name, value in self._env.items()),
            labels=dict(labels),
            on_build=self.triggers,
        )

    def apply(self, instruction: Instruction, origin: Step | None = None) -> None:
        """Carry out one instruction; `origin` is what COPY --from takes from.

        Raises: DockerfileError.
        """
        _ACTIONS[type(instruction)](self, instruction, origin)

    # How instructions are carried out.

    def _with(self, **changes: object) -> ContainerConfig:
        fields = {
            name: getattr(self._container, name) for name in ContainerConfig.__struct_fields__
        }
        return ContainerConfig(**{**fields, **changes})

    def _set(self, **changes: object) -> None:
        self._container = self._with(**changes)

    def _note(self, text: str, step: Step | None = None) -> None:
        self.entries.append(Entry(text, step, self.author))

    def _advance(self, op: Operation, text: str, *more: Step) -> None:
        self.step = Step(op, (self.step, *more), str(self.platform))
        self._note(text, self.step)

    def _error(
        self, instruction: Instruction, reason: str, part: str = "", hint: str = ""
    ) -> DockerfileError:
        return instruction.node.error(reason, part, hint).located(self._file)

    def _scope(self) -> dict[str, str]:
        return {**self.args, **self._env}

    def _expand(self, instruction: Instruction, word: str) -> str:
        return self.arguments.expand(instruction, word, self._scope())

    def _shell(self) -> tuple[str, ...]:
        return self._container.shell or DEFAULT_SHELL

    def _absolute(self, path: str) -> str:
        joined = posixpath.join("/", self._container.working_dir, path)
        return "/" + posixpath.normpath(joined).lstrip("/")

    def _arguments(self, instruction: Instruction, command: Command) -> tuple[str, ...]:
        """What is executed: the shell form goes to the shell, here-documents with it."""
        if not command.shell:
            return command.args
        text = command.args[0] if command.args else ""
        if not command.heredocs:
            return (*self._shell(), text) if text else ()
        first = command.heredocs[0]
        if len(command.heredocs) == 1 and not re.sub(r"<<-?[\"']*[^\s\"']+[\"']*", "", text):
            if first.content.startswith("#!"):
                raise self._error(
                    instruction,
                    "a here-document with an interpreter line (#!) is not supported",
                    hint=f"name the interpreter: RUN <<{first.name} PROGRAM",
                )
            return (*self._shell(), first.content)
        documents = "".join(f"{doc.content}{doc.name}\n" for doc in command.heredocs)
        return (*self._shell(), f"{text}\n{documents}")

    def _do_run(self, instruction: kinds.Run, origin: Step | None) -> None:
        args = self._arguments(instruction, instruction.command)
        if not args or not args[0]:
            raise self._error(instruction, "RUN needs a command")
        env = dict(self._env)
        seen = {name: value for name, value in self.args.items() if name not in env}
        declared = [f"{name}={value}" for name, value in seen.items()]
        op = Run(
            args=args,
            env=(*declared, *(f"{name}={value}" for name, value in env.items())),
            cwd=self._container.working_dir or "/",
            user=self._container.user,
            network=instruction.network,
        )
        prefix = f"|{len(declared)} {' '.join(declared)} " if declared else ""
        self._advance(op, f"RUN {prefix}{' '.join(args)}")

    def _do_copy(self, instruction: kinds.Copy | kinds.Add, origin: Step | None) -> None:
        add = isinstance(instruction, kinds.Add)
        sources: list[str] = []
        inline: list[Inline] = []
        waiting = list(instruction.heredocs)
        for word in instruction.sources:
            if waiting and find_heredocs(word):
                document = waiting.pop(0)
                content = document.content
                if document.expand:
                    content = expand_document(content, self._scope(), self.arguments.escape)
                inline.append(Inline(document.name, content))
            else:
                sources.append(self._source(instruction, word, add))
                if origin is None and posixpath.normpath(word.lstrip("/")).split("/")[0] == "..":
                    self._warnings.append(
                        f"{self._file}:{instruction.line}: {instruction.keyword} {word}: .. cannot"
                        f" leave the context: it means {sources[-1].lstrip('/') or '.'}"
                    )
        raw = self._expand(instruction, instruction.destination)
        if not raw:
            raise self._error(
                instruction, f"{instruction.keyword}: the destination is empty after expansion"
            )
        destination = self._absolute(raw)
        if raw.endswith("/") or posixpath.basename(raw) in (".", ".."):
            destination = destination.rstrip("/") + "/"
        if len(sources) + len(inline) > 1 and not destination.endswith("/"):
            raise self._error(
                instruction,
                f"{instruction.keyword} of several sources needs a directory as destination",
                instruction.destination,
                f"write it as {instruction.destination}/",
            )
        chown = self._expand(instruction, instruction.chown)
        op = Copy(
            sources=tuple(sources),
            destination=destination,
            from_input=origin is not None,
            chown=chown,
            chmod=self._mode(instruction),
            add=add,
            link=instruction.link,
            inline=tuple(inline),
            time=self.arguments.epoch or 0,
        )
        flags = "".join(f" {flag}" for flag in instruction.node.flags)
        words = [f"<<{item.name}" for item in inline]
        words += [source.lstrip("/") or "." for source in sources]
        text = f"{instruction.keyword}{flags} {' '.join(words)} {destination}"
        self._advance(op, text, *((origin,) if origin else ()))

    def _source(self, instruction: Instruction, word: str, add: bool) -> str:
        """A source, as an absolute path from the root of where it comes from, or a URL."""
        source = self._expand(instruction, word)
        if add and _GIT.match(source):
            raise self._error(instruction, "ADD of a Git repository is not supported", word)
        if _URL.match(source):
            if add:
                return source
            raise self._error(instruction, "COPY does not take URLs", word, "use ADD")
        if not source:
            raise self._error(
                instruction, f"{instruction.keyword}: {word} is empty after expansion", word
            )
        return "/" + posixpath.normpath(f"/{source}").lstrip("/")

    def _mode(self, instruction: kinds.Copy | kinds.Add) -> str:
        chmod = self._expand(instruction, instruction.chmod)
        if chmod and not _OCTAL.fullmatch(chmod):
            raise self._error(
                instruction,
                f"--chmod {chmod!r} is not an octal mode",
                instruction.chmod,
                "write it as 755 or 0644",
            )
        return chmod

    def _do_workdir(self, instruction: kinds.Workdir, origin: Step | None) -> None:
        path = self._expand(instruction, instruction.path)
        if not path:
            raise self._error(instruction, "WORKDIR is empty after expansion", instruction.path)
        path = self._absolute(path)
        self._set(working_dir=path)
        if path == "/":
            self._note("WORKDIR /")
        else:
            op = MakeDirectory(path, self._container.user, self.arguments.epoch or 0)
            self._advance(op, f"WORKDIR {path}")

    def _do_env(self, instruction: kinds.Env, origin: Step | None) -> None:
        pairs = self._expanded(instruction, instruction.pairs)
        for name, value in pairs:
            if not name or "=" in name:
                raise self._error(instruction, f"ENV: {name!r} is not a variable name")
            self._env[name] = value
        self._note("ENV " + " ".join(f"{name}={value}" for name, value in pairs))

    def _expanded(
        self, instruction: Instruction, pairs: tuple[tuple[str, str], ...]
    ) -> list[tuple[str, str]]:
        # All of one instruction sees the values from before it.
        return [
            (self._expand(instruction, name), self._expand(instruction, value))
            for name, value in pairs
        ]

    def _do_arg(self, instruction: kinds.Arg, origin: Step | None) -> None:
        shown = []
        for name, default in instruction.pairs:
            value = self.arguments.in_stage(instruction, name, default, self._scope())
            if value is not None:
                self.args[name] = value
            shown.append(name if value is None else f"{name}={value}")
        self._note("ARG " + " ".join(shown))

    def _do_label(self, instruction: kinds.Label, origin: Step | None) -> None:
        pairs = self._expanded(instruction, instruction.pairs)
        self.labels.update(pairs)
        self._note("LABEL " + " ".join(f"{name}={value}" for name, value in pairs))

    def _do_maintainer(self, instruction: kinds.Maintainer, origin: Step | None) -> None:
        self.author = instruction.name
        self._note(f"MAINTAINER {instruction.name}")

    def _do_cmd(self, instruction: kinds.Cmd, origin: Step | None) -> None:
        args = self._arguments(instruction, instruction.command)
        self._set(cmd=args)
        self._command_set = True
        self._note(f"CMD {_shown(args)}")

    def _do_entrypoint(self, instruction: kinds.Entrypoint, origin: Step | None) -> None:
        args = self._arguments(instruction, instruction.command)
        # The base's CMD was meant for the base's ENTRYPOINT.
        self._set(entrypoint=args, cmd=self._container.cmd if self._command_set else None)
        self._note(f"ENTRYPOINT {_shown(args)}")

    def _do_shell(self, instruction: kinds.Shell, origin: Step | None) -> None:
        self._set(shell=instruction.args)
        self._note(f"SHELL [{' '.join(instruction.args)}]")

    def _do_expose(self, instruction: kinds.Expose, origin: Step | None) -> None:
        ports: list[str] = []
        for word in instruction.ports:
            for text in self.arguments.expand_words(instruction, word, self._scope()):
                try:
                    found = exposed(text)
                except Invalid as error:
                    raise self._error(instruction, error.message, word, error.hint) from None
                if ":" in text:
                    self._warnings.append(
                        f"{self._file}:{instruction.line}: EXPOSE {text} names a host port, "
                        "which run -p decides"
                    )
                ports += found
        self._set(exposed_ports={**self._container.exposed_ports, **{p: {} for p in ports}})
        self._note(f"EXPOSE [{' '.join(ports)}]")

    def _do_volume(self, instruction: kinds.Volume, origin: Step | None) -> None:
        paths = [self._expand(instruction, path) for path in instruction.paths]
        if not all(paths):
            raise self._error(instruction, "VOLUME: a path is empty after expansion")
        self._set(volumes={**self._container.volumes, **{path: {} for path in paths}})
        self._note(f"VOLUME [{' '.join(paths)}]")

    def _do_user(self, instruction: kinds.User, origin: Step | None) -> None:
        user = self._expand(instruction, instruction.user)
        if not user:
            raise self._error(instruction, "USER is empty after expansion", instruction.user)
        self._set(user=user)
        self._note(f"USER {user}")

    def _do_stopsignal(self, instruction: kinds.Stopsignal, origin: Step | None) -> None:
        signal = self._expand(instruction, instruction.signal)
        if not is_signal(signal):
            raise self._error(
                instruction, f"{signal!r} is not a signal", instruction.signal, "such as SIGTERM"
            )
        self._set(stop_signal=signal)
        self._note(f"STOPSIGNAL {signal}")

    def _do_onbuild(self, instruction: kinds.Onbuild, origin: Step | None) -> None:
        self.triggers = (*self.triggers, instruction.trigger)
        self._note(f"ONBUILD {instruction.trigger}")

    def _do_healthcheck(self, instruction: kinds.Healthcheck, origin: Step | None) -> None:
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
        self._note(instruction.text)


def _shown(args: tuple[str, ...]) -> str:
    quoted = (arg.replace("\\", "\\\\").replace('"', '\\"') for arg in args)
    return "[" + " ".join(f'"{arg}"' for arg in quoted) + "]"


_ACTIONS: Mapping[type[Instruction], Callable[..., None]] = {
    kinds.Add: StageState._do_copy,
    kinds.Arg: StageState._do_arg,
    kinds.Cmd: StageState._do_cmd,
    kinds.Copy: StageState._do_copy,
    kinds.Entrypoint: StageState._do_entrypoint,
    kinds.Env: StageState._do_env,
    kinds.Expose: StageState._do_expose,
    kinds.Healthcheck: StageState._do_healthcheck,
    kinds.Label: StageState._do_label,
    kinds.Maintainer: StageState._do_maintainer,
    kinds.Onbuild: StageState._do_onbuild,
    kinds.Run: StageState._do_run,
    kinds.Shell: StageState._do_shell,
    kinds.Stopsignal: StageState._do_stopsignal,
    kinds.User: StageState._do_user,
    kinds.Volume: StageState._do_volume,
    kinds.Workdir: StageState._do_workdir,
}
