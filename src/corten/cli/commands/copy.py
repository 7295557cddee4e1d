"""``corten copy``."""

from __future__ import annotations

import click

from corten.cli.frame import command as define
from corten.cli.frame import echo, host, reporting
from corten.cli.params import PlaceName


@define(
    "copy",
    examples="""
corten copy example/hello oci:layout:latest
corten copy docker://127.0.0.1:5000/a docker://127.0.0.1:5001/b
corten copy docker-archive:hello.tar docker://127.0.0.1:5000/example/hello
corten copy --platform linux/arm64 docker://127.0.0.1:5000/a oci-archive:a.tar
""",
)
@click.argument("source", type=PlaceName())
@click.argument("target", type=PlaceName())
@click.option("--platform", default="", metavar="OS/ARCH", help="Only this one of several.")
def command(source: str, target: str, platform: str) -> None:
    """Copy an image from one place to another.

    A place is NAME (this store), docker://HOST/NAME:TAG (a registry), oci:DIR[:NAME],
    oci-archive:FILE[:NAME] or docker-archive:FILE[:NAME].  Bytes stay as they are, so the
    digest does, except where an archive's format forbids it.  The digest is printed.
    """
    from corten.engine import archives

    with reporting() as job:
        descriptor = archives.copy(host(), source, target, job, platform=platform)
    echo(f"{descriptor.digest}\n")
