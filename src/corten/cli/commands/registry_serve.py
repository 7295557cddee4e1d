"""``corten registry serve``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from corten.cli.frame import command as define
from corten.cli.frame import current
from corten.errors import Unsupported


@define(
    "serve",
    examples="""
corten registry serve
corten registry serve --addr 127.0.0.1:5000 --data /srv/registry
corten registry serve --addr :5000 --anonymous read
""",
)
@click.option(
    "--addr",
    metavar="HOST:PORT",
    default="127.0.0.1:5000",
    show_default=True,
    help="Where to listen; an empty host means every address, port 0 any free one.",
)
@click.option(
    "--data",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where its blobs and its database lie.  [default: ROOT/registry]",
)
@click.option(
    "--anonymous",
    type=click.Choice(["none", "read", "write"]),
    help="What everybody may do.  [default: write on loopback, none elsewhere]",
)
@click.option("-q", "--quiet", is_flag=True, help="No line for every request.")
def command(addr: str, data: Path | None, anonymous: str | None, quiet: bool) -> None:
    """Serve a registry: one process, files and SQLite.

    It speaks the OCI distribution specification; docker, podman, skopeo and corten push
    to it and pull from it.  It needs no configuration: on loopback anyone may read and
    write, on any other address nobody may before --anonymous says so.  SIGTERM or ^C ends
    it once running requests are answered.
    """
    try:
        from corten.registry.server import serve
    except ModuleNotFoundError as error:
        raise Unsupported(
            f"the registry needs {error.name}, which is not installed",
            hint="pip install 'corten[registry]'",
        ) from error

    where = data or current().settings().root / "registry"

    def ready(url: str) -> None:
        _say(f"serving {where} at {url}")

    serve(addr, where, anonymous or "", log=None if quiet else _say, ready=ready)


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
