"""``corten rm``."""

from __future__ import annotations

import click

from corten.cli.each import for_each
from corten.cli.frame import command as define
from corten.cli.frame import host
from corten.cli.params import ContainerName


@define("rm", examples="corten rm web\ncorten rm -f $(corten ps -aq)")
@click.argument("containers", metavar="CONTAINER...", nargs=-1, required=True, type=ContainerName())
@click.option("-f", "--force", is_flag=True, help="Kill it first if it runs.")
@click.option("-v", "--volumes", is_flag=True, help="Remove its anonymous volumes too.")
def command(containers: tuple[str, ...], force: bool, volumes: bool) -> int:
    """Remove containers, with all that they changed and wrote."""
    from corten.engine import containers as engine

    def act(name: str) -> str:
        engine.remove(host(), name, force=force, volumes=volumes)
        return name

    return for_each(containers, act)
