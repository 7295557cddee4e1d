"""``corten create``."""

from __future__ import annotations

from typing import Any

from corten.cli.container_flags import container_flags, container_options
from corten.cli.frame import command as define
from corten.cli.frame import echo, host, reporting


@define(
    "create",
    passes_arguments=True,
    help_names=("--help",),
    examples="""
corten create --name web -p 8080:8080 example/node-hello
corten start web
""",
)
@container_flags
def command(**flags: Any) -> None:
    """Make a container without starting it.

    Takes what `corten run` takes and prints the new container's ID.
    """
    from corten.engine import containers

    with reporting() as job:
        record = containers.create(host(), container_options(flags), job)
    echo(f"{record.id}\n")
