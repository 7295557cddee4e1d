"""``corten inspect``."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from typing import Any

import click
from click.shell_completion import CompletionItem

from corten.cli.frame import command as define
from corten.cli.frame import host
from corten.cli.inspection import show
from corten.cli.params import ContainerName, ImageName
from corten.errors import NotFound


class _Name(click.ParamType[str]):
    """A container or an image."""

    name = "name"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Both kinds of names."""
        containers = ContainerName().shell_complete(ctx, param, incomplete)
        return containers + ImageName().shell_complete(ctx, param, incomplete)


@define(
    "inspect",
    examples="""
corten inspect web
corten inspect --format '{{json .Config.Labels}}' example/hello
corten inspect -f '{{.State.Status}} {{.NetworkSettings.IPAddress}}' web
""",
)
@click.argument("names", metavar="NAME...", nargs=-1, required=True, type=_Name())
@click.option("-f", "--format", "form", default="", metavar="TEMPLATE", help="json or a template.")
@click.option("--type", "kind", type=click.Choice(["container", "image"]), help="Only this kind.")
def command(names: tuple[str, ...], form: str, kind: str | None) -> int:
    """Show all that is known of containers and images.

    Where a container and an image have the same name, it is the container that is shown.
    """
    from corten.engine import images
    from corten.engine.inspection import inspect_container

    def find(name: str) -> dict[str, Any]:
        if kind == "image":
            return images.inspect(host(), name)
        with suppress(NotFound) if kind is None else nullcontext():
            return inspect_container(host(), name)
        try:
            return images.inspect(host(), name)
        except NotFound as error:
            raise NotFound(
                f"no container or image {name!r} here", hint="corten ps -a, corten images list all"
            ) from error

    return show(names, form, find)
