"""``corten load``."""

from __future__ import annotations

import click

from corten.cli.frame import command as define
from corten.cli.frame import echo, host, reporting


@define("load", examples="corten load -i hello.tar\ndocker save example/hello | corten load")
@click.option(
    "-i",
    "--input",
    "path",
    type=click.Path(),
    default="",
    metavar="FILE",
    help="Not standard input.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def command(path: str, quiet: bool) -> None:
    """Take images from an archive.

    It may be one of `docker save`, `podman save` or `corten save`, or an OCI layout in a
    tar; plain or compressed.
    """
    from corten.engine import archives
    from corten.oci.reference import Reference

    with reporting(quiet) as job, archives.input_file(path) as file:
        loaded = archives.load(host(), file, job)
    for image in loaded:
        for name in image.names:
            echo(f"Loaded image: {Reference.parse(name).familiar()}\n")
        if not image.names:
            echo(f"Loaded image without a name: {image.descriptor.digest}\n")
