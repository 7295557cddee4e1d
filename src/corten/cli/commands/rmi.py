"""``corten rmi``."""

from __future__ import annotations

import click

from corten.cli.each import for_each
from corten.cli.frame import command as define
from corten.cli.frame import host
from corten.cli.params import ImageName
from corten.cli.removing import remove_image


@define("rmi", examples="corten rmi example/hello:v1\ncorten rmi -f ab12cd34ef56")
@click.argument("names", metavar="IMAGE...", nargs=-1, required=True, type=ImageName())
@click.option(
    "-f", "--force", is_flag=True, help="Although it has several names or a stopped container."
)
@click.option("--no-prune", is_flag=True, help="Leave the freed content for `corten gc`.")
def command(names: tuple[str, ...], force: bool, no_prune: bool) -> int:
    """Remove images.

    A name is taken away; the image goes with its last name, and with it all content that
    nothing else needs.
    """
    return for_each(names, lambda name: remove_image(host(), name, force=force, prune=not no_prune))
