"""``corten import``."""

from __future__ import annotations

import click

from corten.cli.frame import command as define
from corten.cli.frame import echo, host, reporting


@define(
    "import",
    examples="""
corten import rootfs.tar.gz example/base:1
corten export web | corten import -c 'CMD ["sh"]' - example/flat
""",
)
@click.argument("file", metavar="FILE|-", type=click.Path(allow_dash=True))
@click.argument("name", metavar="[NAME[:TAG]]", default="")
@click.option(
    "-c", "--change", "changes", multiple=True, metavar="INSTRUCTION", help="CMD, ENV, USER, …"
)
@click.option("-m", "--message", default="", metavar="TEXT", help="A comment for its history.")
def command(file: str, name: str, changes: tuple[str, ...], message: str) -> None:
    """Make an image of one layer from a root file system in a tar.

    The same tar gives the same image.  Its digest is printed.
    """
    from corten.engine import archives

    with reporting() as job, archives.input_file(file) as stream:
        descriptor = archives.import_image(host(), stream, name, changes, message, job)
    echo(f"{descriptor.digest}\n")
