"""``corten pull``."""

from __future__ import annotations

import click

from corten.cli.frame import command as define
from corten.cli.frame import echo, host, reporting


@define(
    "pull",
    examples="""
corten pull 127.0.0.1:5000/example/hello
corten pull debian:bookworm@sha256:…
corten pull --platform linux/arm64 -q example/hello:v1
""",
)
@click.argument("name", metavar="NAME[:TAG|@DIGEST]")
@click.option("--platform", default="", metavar="OS/ARCH", help="Of a multi-platform image.")
@click.option("--insecure", is_flag=True, help="Plain http, or a certificate nobody vouches for.")
@click.option("-q", "--quiet", is_flag=True, help="Print the name and nothing else.")
def command(name: str, platform: str, insecure: bool, quiet: bool) -> None:
    """Fetch an image from its registry.

    Layers come at the same time and are checked against their digests as they arrive;
    what is here already is not fetched, what was cut off goes on where it stopped.
    """
    from corten.engine import transfer

    with reporting(quiet) as job:
        pulled = transfer.pull(host(), name, job, platform=platform, insecure=insecure)
    familiar = pulled.reference.familiar()
    if not quiet:
        echo(f"Digest: {pulled.digest}\n")
        news = "Downloaded newer image for" if pulled.new else "Image is up to date for"
        echo(f"Status: {news} {familiar}\n")
    echo(f"{pulled.reference.familiar() if quiet else pulled.reference}\n")
