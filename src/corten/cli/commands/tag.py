"""``corten tag``."""

from __future__ import annotations

import click

from corten.cli.frame import command as define
from corten.cli.frame import host
from corten.cli.params import ImageName


@define(
    "tag",
    examples="""
corten tag example/hello example/hello:v1
corten tag example/hello 127.0.0.1:5000/example/hello     before pushing it there
""",
)
@click.argument("image", type=ImageName())
@click.argument("name", metavar="NAME[:TAG]")
def command(image: str, name: str) -> None:
    """Give an image one more name.

    IMAGE is a name or the beginning of an ID.  A name that another image has is taken
    from it.
    """
    from corten.engine import images

    images.tag(host(), image, name)
