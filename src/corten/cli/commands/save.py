"""``corten save``."""

from __future__ import annotations

from typing import Literal

import click

from corten.cli.frame import command as define
from corten.cli.frame import host, reporting
from corten.cli.params import ImageName


@define(
    "save",
    examples="""
corten save -o hello.tar example/hello
corten save example/hello example/other:v1 | gzip > both.tar.gz
corten save --format oci -o hello.oci.tar example/hello
""",
)
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, type=ImageName())
@click.option(
    "-o",
    "--output",
    "path",
    type=click.Path(),
    default="",
    metavar="FILE",
    help="Not standard output.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["docker", "oci"]),
    default="docker",
    show_default=True,
    help="What `docker load` takes, or an OCI image layout.",
)
def command(images: tuple[str, ...], path: str, form: Literal["docker", "oci"]) -> None:
    """Write images to a tar archive.

    A file appears complete or not at all.
    """
    from corten.engine import archives

    with reporting() as job, archives.output(path) as write:
        archives.save(host(), images, write, job, form)
