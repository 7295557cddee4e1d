"""``corten ps``."""

from __future__ import annotations

import sys

import click

from corten.cli.frame import Number, echo, host
from corten.cli.frame import command as define
from corten.errors import Corrupt


@define(
    "ps",
    examples="""
corten ps
corten ps -a
corten rm $(corten ps -aq)
corten ps --format 'table {{.Names}}\\t{{.Status}}\\t{{.Ports}}'
""",
)
@click.option("-a", "--all", "everything", is_flag=True, help="Also those that do not run.")
@click.option(
    "-n",
    "--last",
    cls=Number,
    type=click.IntRange(min=1),
    metavar="N",
    help="The last N, running or not.",
)
@click.option("-q", "--quiet", is_flag=True, help="Only IDs.")
@click.option("--no-trunc", is_flag=True, help="Whole IDs and commands.")
@click.option(
    "--format",
    "form",
    default="",
    metavar="TEMPLATE",
    help="json, a template, or 'table' and a template; fields: ID, Image, Command, CreatedAt, "
    "RunningFor, State, Status, Ports, Names, Labels, Networks.",
)
def command(everything: bool, last: int | None, quiet: bool, no_trunc: bool, form: str) -> None:
    """List containers.

    Only those that run, the newest first, unless -a or -n is given.  One whose record cannot
    be read is left out, with a warning.
    """
    from itertools import islice

    from corten.cli.container_list import Shape, listing
    from corten.engine import containers

    def warn(error: Corrupt) -> None:
        sys.stderr.write(f"corten: warning: {error.message}\nhint: {error.hint}\n")

    everything = everything or bool(last)
    rows = islice(containers.containers(host(), everything=everything, unreadable=warn), last)
    echo(listing(rows, Shape(quiet, no_trunc, form)))
