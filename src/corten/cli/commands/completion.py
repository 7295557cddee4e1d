"""``corten completion``: what a shell needs to complete corten's commands."""

from __future__ import annotations

import click

from corten.cli.frame import command as define
from corten.cli.frame import echo


@define(
    "completion",
    examples="""
source <(corten completion bash)                                  this shell only
corten completion bash > /etc/bash_completion.d/corten            every bash
corten completion zsh > "${fpath[1]}/_corten"                     every zsh
corten completion fish > ~/.config/fish/completions/corten.fish   every fish
""",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of a shell.

    Commands, options and the names of images and containers in the store are completed.
    """
    from click.shell_completion import get_completion_class

    from corten.cli.main import corten, register_shells

    register_shells()
    kind = get_completion_class(shell)
    assert kind is not None
    echo(kind(corten, {}, "corten", "_CORTEN_COMPLETE").source() + "\n")
