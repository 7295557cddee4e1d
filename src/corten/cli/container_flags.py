"""The options that ``run`` and ``create`` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from corten.cli.frame import Number
from corten.cli.params import ByteSize, ImageName

if TYPE_CHECKING:
    from corten.engine.creation import ContainerOptions


def _many(*names: str, metavar: str, help: str) -> Any:
    return click.option(*names, metavar=metavar, multiple=True, help=help)


_FLAGS = (
    click.option(
        "--name", default="", metavar="NAME", help="The container's name; one is made up otherwise."
    ),
    click.option(
        "-i", "--interactive", is_flag=True, help="Keep its input open and connected to ours."
    ),
    click.option("-t", "--tty", is_flag=True, help="Give it a terminal."),
    click.option("--rm", "auto_remove", is_flag=True, help="Remove the container when it ends."),
    _many("-p", "--publish", metavar="[IP:]PORT:PORT", help="Publish a port: here, then its own."),
    click.option("-P", "--publish-all", is_flag=True, help="Publish all ports that are exposed."),
    _many("-e", "--env", metavar="NAME[=VALUE]", help="Set a variable; without VALUE as here."),
    _many("--env-file", "env_files", metavar="FILE", help="Set variables, one a line."),
    _many("-v", "--volume", "volumes", metavar="SRC:DST[:ro]", help="Mount a volume or directory."),
    _many("--mount", "mounts", metavar="type=…,src=…,dst=…", help="Mount one, in full words."),
    _many("--tmpfs", metavar="DST[:OPTIONS]", help="Mount a file system in memory."),
    click.option("-w", "--workdir", default="", metavar="DIR", help="Where the command starts."),
    click.option("-u", "--user", default="", metavar="USER[:GROUP]", help="Who it runs as."),
    click.option(
        "--entrypoint", metavar="PROGRAM", help="What to run instead of the image's; '' for none."
    ),
    click.option(
        "--network",
        default="bridge",
        metavar="MODE",
        help="bridge (its own, with published ports), host, none, container:NAME.",
    ),
    click.option("-h", "--hostname", default="", metavar="NAME", help="Its host name."),
    click.option("--read-only", "readonly", is_flag=True, help="Make its file system read-only."),
    click.option(
        "--privileged", is_flag=True, help="Let it do nearly all that root on this machine may."
    ),
    _many("--cap-add", metavar="CAPABILITY", help="Give it a capability, or ALL."),
    _many("--cap-drop", metavar="CAPABILITY", help="Take a capability from it, or ALL."),
    _many("-l", "--label", "labels", metavar="NAME=VALUE", help="Note something about it."),
    click.option(
        "--stop-signal", default="", metavar="SIGNAL", help="What asks it to end, such as SIGINT."
    ),
    click.option(
        "--stop-timeout",
        cls=Number,
        type=click.IntRange(min=0),
        default=10,
        show_default=True,
        metavar="SECONDS",
        help="How long it has to end before it is killed.",
    ),
    click.option(
        "--init", is_flag=True, help="Run a small init that reaps processes and passes signals."
    ),
    click.option(
        "-m",
        "--memory",
        type=ByteSize(),
        default="0",
        metavar="BYTES",
        help="Memory it may use at most, e.g. 512m.",
    ),
    click.option(
        "--cpus",
        cls=Number,
        type=click.FloatRange(min=0),
        default=0.0,
        metavar="NUMBER",
        help="Processors it may use at most, e.g. 1.5.",
    ),
    click.option(
        "--pids-limit",
        "pids",
        cls=Number,
        type=click.IntRange(min=0),
        default=0,
        metavar="NUMBER",
        help="Processes it may have at most.",
    ),
    click.option(
        "--pull",
        type=click.Choice(["missing", "always", "never"]),
        default="missing",
        show_default=True,
        help="When to get the image from its registry.",
    ),
    click.option(
        "--platform", default="", metavar="OS/ARCH", help="Which of a multi-platform image."
    ),
)


def container_flags(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: image, command and all options of a new container."""
    function = click.argument(
        "command", metavar="[COMMAND [ARG]...]", nargs=-1, type=click.UNPROCESSED
    )(function)
    function = click.argument("image", type=ImageName())(function)
    for flag in reversed(_FLAGS):
        function = flag(function)
    return function


def container_options(flags: dict[str, Any]) -> ContainerOptions:
    """The value that the engine takes."""
    from corten.engine.creation import ContainerOptions

    entrypoint = flags.pop("entrypoint")
    if entrypoint is not None:
        flags["entrypoint"] = (entrypoint,) if entrypoint else ()
    return ContainerOptions(**flags)
