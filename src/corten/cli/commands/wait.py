"""``corten wait``."""

from __future__ import annotations

import click

from corten.cli.each import for_each
from corten.cli.frame import command as define
from corten.cli.frame import host
from corten.cli.params import ContainerName


@define("wait", examples="corten wait job && corten logs job")
@click.argument("containers", metavar="CONTAINER...", nargs=-1, required=True, type=ContainerName())
def command(containers: tuple[str, ...]) -> int:
    """Wait for containers to end and print their exit statuses."""
    from corten.engine import containers as engine

    return for_each(containers, lambda name: str(engine.wait(host(), name)))
