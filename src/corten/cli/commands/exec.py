"""``corten exec``."""

from __future__ import annotations

from typing import Any

import click

from corten.cli.frame import command as define
from corten.cli.frame import host
from corten.cli.params import ContainerName


@define(
    "exec",
    passes_arguments=True,
    examples="""
corten exec web node --version
corten exec -it web sh
corten exec -u root -w /etc -e DEBUG=1 web ls -l
""",
)
@click.argument("container", type=ContainerName())
@click.argument("arguments", metavar="COMMAND [ARG]...", nargs=-1, required=True)
@click.option("-i", "--interactive", is_flag=True, help="Give it this command's input.")
@click.option("-t", "--tty", is_flag=True, help="Give it a terminal.")
@click.option("-d", "--detach", is_flag=True, help="Let it go on alone.")
@click.option("-e", "--env", metavar="NAME[=VALUE]", multiple=True, help="A variable.")
@click.option("--env-file", "env_files", metavar="FILE", multiple=True, help="Variables.")
@click.option("-w", "--workdir", default="", metavar="DIR", help="Where it starts.")
@click.option("-u", "--user", default="", metavar="USER[:GROUP]", help="Who it runs as.")
def command(container: str, arguments: tuple[str, ...], **flags: Any) -> int:
    """Run one more command in a running container.

    The exit status is the command's; 125 if corten failed, 126 if the command cannot be
    executed, 127 if it is not there.
    """
    from corten.engine import containers
    from corten.engine.creation import ContainerOptions, environment_of
    from corten.runtime.attach import Streams
    from corten.runtime.protocols import Process

    wanted = ContainerOptions(image="", env=flags["env"], env_files=flags["env_files"])
    env = tuple(f"{name}={value}" for name, value in environment_of(wanted).items())
    process = Process(arguments, env, flags["workdir"], flags["user"], flags["tty"])
    streams = Streams() if flags["interactive"] else Streams(stdin=-1)
    return containers.execute(host(), container, process, streams, detach=flags["detach"])
