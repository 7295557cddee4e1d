"""``corten rename``."""

from __future__ import annotations

import click

from corten.cli.frame import command as define
from corten.cli.frame import host
from corten.cli.params import ContainerName


@define("rename", examples="corten rename quirky_name web")
@click.argument("container", type=ContainerName())
@click.argument("name")
def command(container: str, name: str) -> None:
    """Give a container another name."""
    from corten.engine import containers

    containers.rename(host(), container, name)
