"""``corten gc``."""

from __future__ import annotations

import click

from corten.cli.frame import command as define
from corten.cli.frame import echo, host
from corten.cli.params import Duration
from corten.cli.quantities import counted, size

_LATER = "--grace 0 deletes it, once no other command is at work"


@define("gc", examples="corten gc\ncorten gc --cache --grace 0")
@click.option("--cache", is_flag=True, help="Forget the build cache too.")
@click.option(
    "--grace",
    type=Duration(),
    help="Spare what was used within this time.  [default: 10m; of downloads broken off: 1 day]",
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
def command(cache: bool, grace: float | None, quiet: bool) -> None:
    """Delete content that nothing needs.

    Every name, image, container, running command and cached build step keeps what it
    needs; images without a name stay: see `corten rmi`.
    """
    from corten.content.ingest import PARTIAL_AGE
    from corten.engine import system

    age = PARTIAL_AGE if grace is None else grace
    done = system.collect(
        host(), grace=grace, cache=cache, partial_age=age, name_leftovers=not quiet
    )
    if not quiet:
        layers = counted(done.layers, "layer")
        echo(f"Deleted {counted(done.blobs, 'blob')} ({size(done.size)}) and {layers}\n")
        if done.leftovers:
            echo(f"Removed {counted(len(done.leftovers), 'leftover')} of killed commands:\n")
            echo([f"  {path}" for path in done.leftovers])
        if done.spared:
            echo(f"Spared {size(done.spared)} that was in use a moment ago: {_LATER}\n")
        if done.partial:
            echo(f"Kept {size(done.partial)} of downloads that were broken off: {_LATER}\n")
