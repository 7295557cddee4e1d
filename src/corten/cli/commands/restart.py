"""``corten restart``."""

from __future__ import annotations

import click

from corten.cli.each import for_each
from corten.cli.frame import command as define
from corten.cli.frame import host
from corten.cli.params import ContainerName, Duration


@define("restart", examples="corten restart web")
@click.argument("containers", metavar="CONTAINER...", nargs=-1, required=True, type=ContainerName())
@click.option(
    "-t", "--time", "--timeout", "seconds", type=Duration(), help="Wait so long before killing it."
)
def command(containers: tuple[str, ...], seconds: float | None) -> int:
    """Stop containers and start them again."""
    from corten.engine import containers as engine

    def act(name: str) -> str:
        engine.restart(host(), name, seconds)
        return name

    return for_each(containers, act)
