"""One frozen type per instruction.  Variables are not expanded yet: that needs a build's state.

Spec: Dockerfile reference, one section per instruction.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from corten.dockerfile.lexer import Heredoc
from corten.dockerfile.mounts import MountFlag
from corten.dockerfile.syntax import Node


class Instruction(msgspec.Struct, frozen=True, kw_only=True):
    """What all have in common: the node they were made from."""

    keyword: ClassVar[str] = ""
    node: Node

    @property
    def line(self) -> int:
        """The first physical line, from 1."""
        return self.node.line.first

    @property
    def text(self) -> str:
        """The instruction as written, on one line."""
        return self.node.text

    @property
    def origins(self) -> tuple[str, ...]:
        """Stages, images or named contexts whose files it takes, as written."""
        return ()


class Command(msgspec.Struct, frozen=True):
    """Exec form (``args`` as they are) or shell form (``args`` is one string for the shell).

    ``heredocs`` follow a shell form's text.
    """

    args: tuple[str, ...]
    shell: bool
    heredocs: tuple[Heredoc, ...] = ()


class From(Instruction, frozen=True, kw_only=True):
    """``FROM [--platform=P] IMAGE [AS NAME]``; ``name`` is in lower case."""

    keyword: ClassVar[str] = "FROM"
    image: str
    name: str = ""
    platform: str = ""


class Run(Instruction, frozen=True, kw_only=True):
    """``RUN``; ``network`` is ``default``, ``none`` or ``host``, ``security`` ``sandbox`` or ``insecure``."""

    keyword: ClassVar[str] = "RUN"
    command: Command
    network: str = "default"
    security: str = "sandbox"
    mounts: tuple[MountFlag, ...] = ()
    devices: tuple[str, ...] = ()

    @property
    def origins(self) -> tuple[str, ...]:
        """The ``from`` of its mounts."""
        return tuple(mount.origin for mount in self.mounts if mount.origin)


class Cmd(Instruction, frozen=True, kw_only=True):
    """``CMD``"""

    keyword: ClassVar[str] = "CMD"
    command: Command


class Entrypoint(Instruction, frozen=True, kw_only=True):
    """``ENTRYPOINT``"""

    keyword: ClassVar[str] = "ENTRYPOINT"
    command: Command


class Shell(Instruction, frozen=True, kw_only=True):
    """``SHELL ["executable", "parameter"]``"""

    keyword: ClassVar[str] = "SHELL"
    args: tuple[str, ...]


class Label(Instruction, frozen=True, kw_only=True):
    """``LABEL``: names and values in order."""

    keyword: ClassVar[str] = "LABEL"
    pairs: tuple[tuple[str, str], ...]


class Env(Instruction, frozen=True, kw_only=True):
    """``ENV``, both forms."""

    keyword: ClassVar[str] = "ENV"
    pairs: tuple[tuple[str, str], ...]


class Arg(Instruction, frozen=True, kw_only=True):
    """``ARG``: names, with None where there is no default."""

    keyword: ClassVar[str] = "ARG"
    pairs: tuple[tuple[str, str | None], ...]


class Maintainer(Instruction, frozen=True, kw_only=True):
    """``MAINTAINER`` (deprecated)"""

    keyword: ClassVar[str] = "MAINTAINER"
    name: str


class Expose(Instruction, frozen=True, kw_only=True):
    """``EXPOSE PORT[/PROTOCOL] …``"""

    keyword: ClassVar[str] = "EXPOSE"
    ports: tuple[str, ...]


class Copy(Instruction, frozen=True, kw_only=True):
    """``COPY``.  ``heredocs`` are files whose content stands in the Dockerfile."""

    keyword: ClassVar[str] = "COPY"
    sources: tuple[str, ...]
    destination: str
    chown: str = ""
    chmod: str = ""
    link: bool = False
    source_stage: str = ""
    parents: bool = False
    excludes: tuple[str, ...] = ()
    heredocs: tuple[Heredoc, ...] = ()

    @property
    def origins(self) -> tuple[str, ...]:
        """The ``--from``, if there is one."""
        return (self.source_stage,) if self.source_stage else ()


class Add(Instruction, frozen=True, kw_only=True):
    """``ADD``: like COPY, but takes URLs and Git repositories, and unpacks local archives.

    ``unpack`` is None where the flag is not given: then local archives are, remote ones not.
    """

    keyword: ClassVar[str] = "ADD"
    sources: tuple[str, ...]
    destination: str
    chown: str = ""
    chmod: str = ""
    link: bool = False
    checksum: str = ""
    keep_git_dir: bool = False
    unpack: bool | None = None
    excludes: tuple[str, ...] = ()
    heredocs: tuple[Heredoc, ...] = ()


class Volume(Instruction, frozen=True, kw_only=True):
    """``VOLUME``"""

    keyword: ClassVar[str] = "VOLUME"
    paths: tuple[str, ...]


class User(Instruction, frozen=True, kw_only=True):
    """``USER NAME[:GROUP]``"""

    keyword: ClassVar[str] = "USER"
    user: str


class Workdir(Instruction, frozen=True, kw_only=True):
    """``WORKDIR``"""

    keyword: ClassVar[str] = "WORKDIR"
    path: str


class Onbuild(Instruction, frozen=True, kw_only=True):
    """``ONBUILD``: an instruction for images built on this one, as text."""

    keyword: ClassVar[str] = "ONBUILD"
    trigger: str


class Stopsignal(Instruction, frozen=True, kw_only=True):
    """``STOPSIGNAL``"""

    keyword: ClassVar[str] = "STOPSIGNAL"
    signal: str


class Healthcheck(Instruction, frozen=True, kw_only=True):
    """``HEALTHCHECK``; ``command`` is None for ``NONE``.  Times in nanoseconds, 0: the default."""

    keyword: ClassVar[str] = "HEALTHCHECK"
    command: Command | None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class Stage(msgspec.Struct, frozen=True):
    """A FROM and what follows it up to the next."""

    index: int
    source: From
    instructions: tuple[Instruction, ...]

    @property
    def name(self) -> str:
        """The name given with AS, else empty."""
        return self.source.name

    @property
    def title(self) -> str:
        """How progress names it: its name, else ``stage-0``."""
        return self.source.name or f"stage-{self.index}"


class Dockerfile(msgspec.Struct, frozen=True):
    """A parsed Dockerfile.  ``arguments`` stand before the first FROM."""

    directives: dict[str, str]
    arguments: tuple[Arg, ...]
    stages: tuple[Stage, ...]
    escape: str = "\\"
    file: str = "Dockerfile"

    def stage(self, name: str) -> Stage | None:
        """The stage of that name or number; of several with one name, the last."""
        for stage in reversed(self.stages):
            if stage.name and stage.name == name.lower():
                return stage
        if name.isascii() and name.isdigit() and len(name) < 6 and int(name) < len(self.stages):
            return self.stages[int(name)]
        return None
