"""``corten logs``."""

from __future__ import annotations

import sys

import click

from corten.cli.frame import command as define
from corten.cli.frame import host
from corten.cli.params import ContainerName


def _lines(context: click.Context, parameter: click.Parameter, value: str) -> int | None:
    if value == "all":
        return None
    if not value.isascii() or not value.isdecimal():
        raise click.BadParameter(f"{value!r} is no number of lines", context, parameter)
    return int(value)


@define(
    "logs",
    examples="""
corten logs web
corten logs -f --tail 10 web
corten logs -t web 2>errors
""",
)
@click.argument("container", type=ContainerName())
@click.option("-f", "--follow", is_flag=True, help="Go on until the container ends.")
@click.option(
    "-n", "--tail", default="all", callback=_lines, metavar="N", help="Only the last N lines."
)
@click.option("-t", "--timestamps", is_flag=True, help="Begin each line with its time.")
def command(container: str, follow: bool, tail: int | None, timestamps: bool) -> None:
    """Print what a container wrote.

    Its standard output goes to standard output, its errors to standard error.
    """
    from corten.engine import containers

    streams = {1: sys.stdout.buffer, 2: sys.stderr.buffer}
    # Only at the begin of a line: the log keeps long lines and prompts in parts.
    begins = {1: True, 2: True}
    for entry in containers.logs(host(), container, tail=tail, follow=follow):
        stream = streams[entry.stream]
        if timestamps and begins[entry.stream]:
            stream.write(entry.time.encode() + b" ")
        stream.write(entry.text)
        begins[entry.stream] = entry.whole
        if follow:
            stream.flush()
    sys.stdout.flush()
