"""``corten lock``."""

from __future__ import annotations

from pathlib import Path

import click

from corten.cli.commands.build import arguments
from corten.cli.frame import command as define
from corten.cli.frame import echo, host, reporting
from corten.cli.params import ContextFolder


@define(
    "lock",
    examples="""
corten lock                                  writes Dockerfile.lock
corten lock -f docker/Dockerfile.dev .
corten build --locked -t example/hello .     builds from what was written
""",
)
@click.argument(
    "context", metavar="DIR", default=".", type=ContextFolder(path_type=Path, exists=True)
)
@click.option(
    "-f",
    "--file",
    "dockerfile",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The Dockerfile.  [default: DIR/Dockerfile]",
)
@click.option(
    "--build-arg",
    "build_args",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Set an ARG that an image's name depends on.",
)
@click.option("--platform", default="", metavar="OS/ARCH", help="What is going to be built for.")
def command(
    context: Path, dockerfile: Path | None, build_args: tuple[str, ...], platform: str
) -> None:
    """Pin what a Dockerfile builds on.

    Asks registries and other servers what every image, URL and Git repository that it names
    is now, and writes the digests to a lock file beside it (Dockerfile.lock), which belongs
    into version control.  corten build
    --locked builds from these and nothing else; corten lock again brings them up to date.
    """
    from corten.engine.locking import lock

    with reporting(False) as job:
        done = lock(
            host(),
            dockerfile or context / "Dockerfile",
            job,
            build_args=arguments(build_args),
            platform=platform,
        )
    before = {**done.before.images, **done.before.remotes}
    now = {**done.lock.images, **done.lock.remotes}
    for name, digest in now.items():
        was = before.get(name)
        news = "" if was == digest else f"  (was {was})" if was else "  (new)"
        echo(f"{name} {digest}{news}\n")
    for name in before:
        if name not in now:
            echo(f"{name} is not used any more\n")
    echo(f"Wrote {done.path}\n")
