"""``corten kill``."""

from __future__ import annotations

import click

from corten.cli.each import for_each
from corten.cli.frame import command as define
from corten.cli.frame import host
from corten.cli.params import ContainerName


@define("kill", examples="corten kill web\ncorten kill -s HUP web")
@click.argument("containers", metavar="CONTAINER...", nargs=-1, required=True, type=ContainerName())
@click.option("-s", "--signal", default="SIGKILL", show_default=True, help="By name or number.")
def command(containers: tuple[str, ...], signal: str) -> int:
    """Send a signal to containers."""
    from corten.engine import containers as engine

    def act(name: str) -> str:
        engine.kill(host(), name, signal)
        return name

    return for_each(containers, act)
