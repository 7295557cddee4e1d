"""``corten run``."""

from __future__ import annotations

from typing import Any

import click

from corten.cli.container_flags import container_flags, container_options
from corten.cli.frame import command as define
from corten.cli.frame import host, reporting


@define(
    "run",
    passes_arguments=True,
    help_names=("--help",),
    examples="""
corten run --rm busybox echo hello
corten run -it debian:bookworm bash                       Ctrl-P Ctrl-Q leaves it running
corten run -d --name web -p 8080:8080 -e WHO=Sean example/node-hello
corten run --rm -v "$PWD:/work:ro" -w /work debian ls     this directory, read-only
""",
)
@click.option("-d", "--detach", is_flag=True, help="Run it in the background and print its ID.")
@container_flags
def command(detach: bool, **flags: Any) -> int:
    """Run a command in a new container.

    IMAGE is taken from the store, or pulled if it is not there.  COMMAND and its arguments
    replace the image's CMD.  The exit status is the command's; 125 if corten failed, 126 if
    the command cannot be executed, 127 if it is not there.  Signals go to the container.
    Options stand before IMAGE: what follows it is the container's.
    """
    from corten.cli.running import run_container

    options = container_options(flags)
    with reporting() as job:
        return run_container(host(), options, job, detach=detach)
