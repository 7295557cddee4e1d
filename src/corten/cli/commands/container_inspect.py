"""``corten container inspect``."""

from __future__ import annotations

import click

from corten.cli.frame import command as define
from corten.cli.frame import host
from corten.cli.inspection import show
from corten.cli.params import ContainerName


@define("inspect", examples="corten container inspect -f '{{.State.Status}}' web")
@click.argument("containers", metavar="NAME...", nargs=-1, required=True, type=ContainerName())
@click.option("-f", "--format", "form", default="", metavar="TEMPLATE", help="json or a template.")
def command(containers: tuple[str, ...], form: str) -> int:
    """Show all that is known of containers."""
    from corten.engine.inspection import inspect_container

    return show(containers, form, lambda name: inspect_container(host(), name))
