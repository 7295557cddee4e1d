"""``corten image inspect``."""

from __future__ import annotations

import click

from corten.cli.frame import command as define
from corten.cli.frame import host
from corten.cli.inspection import show
from corten.cli.params import ImageName


@define("inspect", examples="corten image inspect -f '{{json .Config.Labels}}' example/hello")
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, type=ImageName())
@click.option("-f", "--format", "form", default="", metavar="TEMPLATE", help="json or a template.")
def command(images: tuple[str, ...], form: str) -> int:
    """Show all that is known of images."""
    from corten.engine import images as engine

    return show(images, form, lambda name: engine.inspect(host(), name))
