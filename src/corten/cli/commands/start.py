"""``corten start``."""

from __future__ import annotations

import click

from corten.cli.each import for_each
from corten.cli.frame import command as define
from corten.cli.frame import host
from corten.cli.params import ContainerName
from corten.errors import Usage


@define("start", examples="corten start web\ncorten start -ai shell")
@click.argument("containers", metavar="CONTAINER...", nargs=-1, required=True, type=ContainerName())
@click.option("-a", "--attach", is_flag=True, help="Show its output and wait for its end.")
@click.option("-i", "--interactive", is_flag=True, help="Attach, and give it this input.")
def command(containers: tuple[str, ...], attach: bool, interactive: bool) -> int:
    """Start containers that do not run.

    With -a or -i the exit status is the container's.
    """
    from corten.engine import containers as engine

    if attach or interactive:
        if len(containers) > 1:
            raise Usage("only one container can be attached to")
        return engine.start_attached(host(), containers[0], interactive=interactive)

    def act(name: str) -> str:
        engine.start(host(), name)
        return name

    return for_each(containers, act)
