"""``corten inspect``."""

from __future__ import annotations

import click

from corten.cli.frame import command as define
from corten.cli.frame import host
from corten.cli.inspection import show
from corten.cli.params import ImageName


@define(
    "inspect",
    examples="""
corten inspect debian:bookworm
corten inspect --format '{{json .Config.Labels}}' example/hello
corten inspect -f '{{.Id}} {{len .RootFS.Layers}}' example/hello
""",
)
@click.argument("names", metavar="IMAGE...", nargs=-1, required=True, type=ImageName())
@click.option("-f", "--format", "form", default="", metavar="TEMPLATE", help="json or a template.")
def command(names: tuple[str, ...], form: str) -> int:
    """Show all that is known of images."""
    from corten.engine import images

    return show(names, form, lambda name: images.inspect(host(), name))
