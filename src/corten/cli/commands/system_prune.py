"""``corten system prune``."""

from __future__ import annotations

import sys

import click

from corten.cli.frame import command as define
from corten.cli.frame import echo, host, reporting
from corten.cli.quantities import size
from corten.errors import Usage


@define("prune", examples="corten system prune\ncorten system prune -af")
@click.option(
    "-a",
    "--all",
    "everything",
    is_flag=True,
    help="All images that no container uses, and the build cache.",
)
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
def command(everything: bool, force: bool) -> None:
    """Remove what is not in use.

    That is stopped containers, images without a name, and content that nothing needs, what came
    of pulls that were broken off too.  While another command is at work, content stays that it
    may need: prune again afterwards.
    """
    from corten.engine.pruning import prune

    if not force and not _agreed(everything):
        return
    with reporting() as job:
        done = prune(host(), job, everything=everything)
    for title, names in (("containers", done.containers), ("images", done.images)):
        if names:
            echo([f"Deleted {title}:", *map(str, names), ""])
    echo(f"Total reclaimed space: {size(done.size, 4)}\n")
    if done.collected.spared:
        sys.stderr.write(
            f"{size(done.collected.spared, 4)} stay for commands that are at work: prune again when they have ended\n"
        )


def _agreed(everything: bool) -> bool:
    images = "all images without a name"
    if everything:
        images = "all images that no container uses, the build cache"
    if not sys.stdin.isatty():
        raise Usage("there is no terminal to ask on", hint="--force removes without asking")
    sys.stderr.write(f"This removes all stopped containers, {images} and unused content.\n")
    return click.confirm("Go on?", err=True)
