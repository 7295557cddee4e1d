"""``corten push``."""

from __future__ import annotations

import click

from corten.cli.frame import command as define
from corten.cli.frame import echo, host, reporting
from corten.cli.params import ImageName
from corten.cli.transferring import push_image


@define(
    "push",
    examples="""
corten tag example/hello 127.0.0.1:5000/example/hello
corten push 127.0.0.1:5000/example/hello
""",
)
@click.argument("name", metavar="NAME[:TAG]", type=ImageName())
@click.option(
    "--insecure", is_flag=True, help="Allow plain http, and certificates that nobody vouches for."
)
@click.option("-q", "--quiet", is_flag=True, help="Print the name and nothing else.")
def command(name: str, insecure: bool, quiet: bool) -> None:
    """Give an image to the registry that its name says.

    Layers are compressed once and sent at the same time; what the registry has already
    is not sent.  Where the tag is this image already, nothing is; should that registry have lost
    a layer, `corten copy NAME docker://NAME` looks for each and sends it again.

    Progress goes to standard error, the result to standard output.  With --progress=json the
    last event's detail is the digest.
    """
    with reporting(quiet) as job:
        said = push_image(host(), name, job, insecure=insecure)
    echo(said[quiet])
