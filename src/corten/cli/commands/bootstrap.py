"""``corten bootstrap``."""

from __future__ import annotations

from typing import Any

import click

from corten.cli.frame import command as define
from corten.cli.frame import echo, host, reporting


@define(
    "bootstrap",
    examples="""
corten bootstrap debian:bookworm
corten bootstrap --include ca-certificates,curl example/base:bookworm
corten bootstrap --suite trixie --mirror http://mirror.example/debian debian
""",
)
@click.argument("name", metavar="NAME[:SUITE]")
@click.option("--suite", default="", help="Of Debian.  [default: the tag, up to a dash]")
@click.option(
    "--variant",
    default="minbase",
    show_default=True,
    metavar="NAME",
    help="How much, as mmdebstrap(1) calls it.",
)
@click.option("--include", multiple=True, metavar="PACKAGE,…", help="Further packages.")
@click.option("--mirror", "mirrors", multiple=True, metavar="URL", help="Where packages are from.")
@click.option("-q", "--quiet", is_flag=True, help="Print the digest and nothing else.")
def command(quiet: bool, include: tuple[str, ...], **flags: Any) -> None:
    """Make a base image from Debian's packages.

    It can be used in FROM at once.  The same packages give the same digest.  Needs root
    and mmdebstrap.
    """
    from corten.engine.bootstrap import BootstrapOptions, bootstrap

    packages = tuple(name for names in include for name in names.split(",") if name)
    with reporting(quiet) as job:
        options = BootstrapOptions(include=packages, **flags)
        descriptor = bootstrap(host(), options, job)
    echo(f"{descriptor.digest}\n")
