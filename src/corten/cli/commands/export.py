"""``corten export``."""

from __future__ import annotations

import click

from corten.cli.frame import command as define
from corten.cli.frame import host, reporting
from corten.cli.params import ContainerName


@define("export", examples="corten export -o web.tar web\ncorten export web | tar -t")
@click.argument("container", type=ContainerName())
@click.option(
    "-o",
    "--output",
    "path",
    type=click.Path(),
    default="",
    metavar="FILE",
    help="Not standard output.",
)
def command(container: str, path: str) -> None:
    """Write a container's file system, as it is now, as a tar.

    Without what is mounted into it.  The container may run meanwhile.
    """
    from corten.engine import archives

    with reporting() as job, archives.output(path) as write:
        archives.export(host(), container, write, job)
