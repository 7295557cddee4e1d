"""``corten stop``."""

from __future__ import annotations

import click

from corten.cli.each import for_each
from corten.cli.frame import command as define
from corten.cli.frame import host
from corten.cli.params import ContainerName, Duration


@define("stop", examples="corten stop web\ncorten stop -t 1 $(corten ps -q)")
@click.argument("containers", metavar="CONTAINER...", nargs=-1, required=True, type=ContainerName())
@click.option(
    "-t", "--time", "--timeout", "seconds", type=Duration(), help="Wait so long before killing it."
)
def command(containers: tuple[str, ...], seconds: float | None) -> int:
    """Stop containers.

    Each is sent the stop signal of its image (SIGTERM if it names none) and killed if it
    has not ended after 10 seconds or what it was created with.
    """
    from corten.engine import containers as engine

    def act(name: str) -> str:
        engine.stop(host(), name, seconds)
        return name

    return for_each(containers, act)
