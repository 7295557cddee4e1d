"""``corten pull``."""

from __future__ import annotations

import click

from corten.cli.frame import command as define
from corten.cli.frame import echo, host, reporting
from corten.cli.transferring import pull_image


@define(
    "pull",
    examples="""
corten pull 127.0.0.1:5000/example/hello
corten pull debian:bookworm@sha256:…
corten pull --platform linux/arm64 -q example/hello:v1
""",
)
@click.argument("name", metavar="NAME[:TAG|@DIGEST]")
@click.option("--platform", default="", metavar="OS/ARCH", help="Which of a multi-platform image.")
@click.option(
    "--insecure", is_flag=True, help="Allow plain http, and certificates that nobody vouches for."
)
@click.option("-q", "--quiet", is_flag=True, help="Print the name and nothing else.")
def command(name: str, platform: str, insecure: bool, quiet: bool) -> None:
    """Fetch an image from its registry.

    Without a registry NAME is one of Docker Hub's (docker.io), without a tag it is latest.

    Layers come at the same time and are checked against their digests as they arrive;
    what is here already is not fetched, what was cut off goes on where it stopped.
    """
    with reporting(quiet) as job:
        said = pull_image(host(), name, job, platform=platform, insecure=insecure)
    echo(said[quiet])
