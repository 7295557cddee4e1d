"""From what a user asks for and what an image says to the record of a container."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from corten.engine.host import Host
from corten.errors import Invalid, NotFound, Usage
from corten.image.view import Image
from corten.oci.image_config import ContainerConfig
from corten.runtime.capabilities import adjusted
from corten.runtime.containers import ContainerRecord
from corten.runtime.ports import PublishedPort, parse_port
from corten.runtime.protocols import Bind, Process
from corten.runtime.volumes import VolumeStore, parse_mount, parse_tmpfs, parse_volume


class ContainerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What `create` and `run` may be told, in the forms of the command line.

    ``entrypoint`` None keeps the image's, an empty tuple clears it; ``stop_timeout`` in
    seconds; ``memory`` in bytes; ``pull`` is ``missing``, ``always`` or ``never``.
    """

    image: str
    command: tuple[str, ...] = ()
    name: str = ""
    entrypoint: tuple[str, ...] | None = None
    env: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    user: str = ""
    workdir: str = ""
    hostname: str = ""
    network: str = "bridge"
    publish: tuple[str, ...] = ()
    publish_all: bool = False
    volumes: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    tmpfs: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    tty: bool = False
    interactive: bool = False
    auto_remove: bool = False
    readonly: bool = False
    privileged: bool = False
    init: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    stop_signal: str = ""
    stop_timeout: int = 10
    memory: int = 0
    cpus: float = 0.0
    pids: int = 0
    pull: str = "missing"
    platform: str = ""


def record_of(host: Host, image: Image, options: ContainerOptions) -> ContainerRecord:
    """The record of a new container, not yet kept; volumes it names exist afterwards.

    Raises: Invalid, NotFound, Usage: by option.
    """
    config = image.config.config
    ports = published(options, config)
    network = network_of(host, options)
    if ports and network != "bridge":
        raise Usage(f"ports cannot be published on the network {network!r}")
    process = process_of(options, config)
    capabilities = None
    if options.cap_add or options.cap_drop:
        capabilities = adjusted(options.cap_add, options.cap_drop)
    binds, anonymous = binds_of(host, options)
    return ContainerRecord(
        id=os.urandom(32).hex(),
        name=options.name,
        process=process,
        image=options.image,
        image_id=str(image.id),
        manifest=str(image.descriptor.digest),
        driver=host.snapshotter.driver,
        binds=binds,
        anonymous=anonymous,
        network=network,
        ports=ports,
        hostname=options.hostname,
        interactive=options.interactive,
        readonly=options.readonly,
        privileged=options.privileged,
        init=options.init,
        auto_remove=options.auto_remove,
        stop_signal=options.stop_signal or config.stop_signal or "SIGTERM",
        stop_timeout=options.stop_timeout,
        labels={**config.labels, **pairs(options.labels)},
        capabilities=capabilities,
        memory=options.memory,
        cpus=options.cpus,
        pids=options.pids,
    )


def process_of(options: ContainerOptions, config: ContainerConfig) -> Process:
    """The command: entry point and arguments as Docker combines them.

    A given entry point drops the image's CMD.  Spec: OCI image, conversion.md, "Annotation
    Fields" (process.args).  Raises: Usage: there is no command at all.
    """
    entrypoint = config.entrypoint or ()
    command = options.command or config.cmd or ()
    if options.entrypoint is not None:
        entrypoint, command = options.entrypoint, options.command
    args = (*entrypoint, *command)
    if not args:
        raise Usage(
            f"no command: {options.image} has neither ENTRYPOINT nor CMD",
            hint=f"name one: corten run {options.image} COMMAND",
        )
    env = config.environment()
    env.update(environment_of(options))
    if options.tty:
        env.setdefault("TERM", "xterm")
    return Process(
        args=args,
        env=tuple(f"{name}={value}" for name, value in env.items()),
        cwd=options.workdir or config.working_dir or "/",
        user=options.user or config.user,
        tty=options.tty,
    )


def environment_of(options: ContainerOptions) -> dict[str, str]:
    """The variables of ``--env-file`` and ``-e``; a lone NAME takes the caller's value, if any.

    Raises: NotFound: no such file; Invalid: an entry without a name.
    """
    entries: list[str] = []
    for file in options.env_files:
        try:
            lines = Path(file).read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise NotFound(f"cannot read the environment file {file}: {error}") from error
        entries += [line for line in map(str.strip, lines) if line and not line.startswith("#")]
    env: dict[str, str] = {}
    for entry in (*entries, *options.env):
        name, equals, value = entry.partition("=")
        if not name:
            raise Invalid(f"invalid environment variable {entry!r}: it has no name")
        if equals:
            env[name] = value
        elif name in os.environ:
            env[name] = os.environ[name]
    return env


def published(options: ContainerOptions, config: ContainerConfig) -> tuple[PublishedPort, ...]:
    """The ports of ``-p`` and, for ``-P``, what the image exposes.  Raises: Invalid."""
    ports = [port for text in options.publish for port in parse_port(text)]
    if options.publish_all:
        taken = {(port.container_port, port.protocol) for port in ports}
        for exposed in config.exposed_ports:
            ports += [
                port
                for port in parse_port(exposed)
                if (port.container_port, port.protocol) not in taken
            ]
    return tuple(ports)


def network_of(host: Host, options: ContainerOptions) -> str:
    """The network's mode, with a container's name replaced by its id.  Raises: Invalid, NotFound."""
    kind, colon, reference = options.network.partition(":")
    if kind == "container" and colon:
        return f"container:{host.runtime.containers.get(reference).id}"
    if options.network not in ("bridge", "host", "none", "default"):
        raise Invalid(
            f"unknown network {options.network!r}", hint="bridge, host, none or container:NAME"
        )
    return "bridge" if options.network == "default" else options.network


def binds_of(host: Host, options: ContainerOptions) -> tuple[tuple[Bind, ...], tuple[str, ...]]:
    """What ``-v``, ``--mount`` and ``--tmpfs`` mount, and the anonymous volumes made for it."""
    here = Path.cwd()
    wanted = [parse_volume(text, here) for text in options.volumes]
    wanted += [parse_mount(text, here) for text in options.mounts]
    tmpfs = [parse_tmpfs(text) for text in options.tmpfs]
    binds, anonymous = VolumeStore(host.root).resolve(wanted)
    return (*binds, *tmpfs), anonymous


def pairs(texts: Sequence[str]) -> Mapping[str, str]:
    """``NAME=value`` texts as a mapping; a lone NAME has the empty value."""
    return dict(text.partition("=")[::2] for text in texts)
