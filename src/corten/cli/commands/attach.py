"""``corten attach``."""

from __future__ import annotations

import click

from corten.cli.frame import command as define
from corten.cli.frame import host
from corten.cli.params import ContainerName


@define("attach", examples="corten attach shell        Ctrl-P Ctrl-Q leaves it running")
@click.argument("container", type=ContainerName())
@click.option("--no-stdin", is_flag=True, help="Only show its output.")
def command(container: str, no_stdin: bool) -> int:
    """Join a running container's input and output.

    The exit status is the container's.
    """
    from corten.engine import containers

    return containers.attach(host(), container, stdin=not no_stdin)
