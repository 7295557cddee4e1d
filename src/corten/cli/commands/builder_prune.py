"""``corten builder prune``."""

from __future__ import annotations

import click

from corten.cli.frame import command as define
from corten.cli.frame import echo, host
from corten.cli.quantities import size


@define("prune", examples="corten builder prune")
@click.option("-f", "--force", is_flag=True, help="No effect: nothing is asked.")
def command(force: bool) -> None:
    """Forget the build cache and delete what only it needs."""
    from corten.engine import system

    done = system.collect(host(), grace=0, cache=True)
    echo(f"Total reclaimed space: {size(done.size, 4)}\n")
