"""The options of ``build`` about its contexts, its base images and its cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from corten.cli.switches import OptionalValue

_POLICIES = ("missing", "always", "never")
_SWITCHES = {"true": "always", "1": "always", "false": "missing", "0": "missing"}


class PullPolicy(click.Choice[str]):
    """When to ask for base images; Docker's true and false are always and missing."""

    name = "policy"

    def __init__(self) -> None:
        super().__init__(_POLICIES)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The policy."""
        return super().convert(_SWITCHES.get(str(value).lower(), value), param, ctx)


def _names(
    context: click.Context, option: click.Parameter, given: tuple[str, ...]
) -> tuple[str, ...]:
    """Stages, each alone or several with commas."""
    return tuple(name for text in given for name in text.split(",") if name)


_FLAGS = (
    click.option(
        "--build-context",
        "build_contexts",
        multiple=True,
        metavar="NAME=PLACE",
        help="Further files or an image by NAME, for FROM, COPY --from and RUN --mount: a directory,"
        " docker-image://, oci-layout://, target:STAGE, a URL.",
    ),
    click.option("--no-cache", is_flag=True, help="Run every step."),
    click.option(
        "--no-cache-filter",
        multiple=True,
        callback=_names,
        metavar="STAGE,…",
        help="Run every step of these stages.",
    ),
    click.option(
        "--pull",
        cls=OptionalValue,
        bare="always",
        type=PullPolicy(),
        default="missing",
        metavar="[POLICY]",
        help="When to look for newer base images: always (--pull alone), missing or never.",
    ),
)


def context_flags(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: these options."""
    for flag in reversed(_FLAGS):
        function = flag(function)
    return function
