"""The command line: all commands, none of them imported before it is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from corten.cli.failures import USAGE, exit_status, report
from corten.cli.frame import Globals, Group
from corten.cli.index import COMMANDS


def _version(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from corten import __version__

        click.echo(f"corten {__version__}")
        context.exit()


corten = Group(
    "corten",
    help="Container images from end to end: build, store, run, serve, copy.  "
    "No daemon: every command does its work itself, in the store under --root.",
    entries=COMMANDS,
    no_args_is_help=True,
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_version,
            help="Print the version.",
        )
    ],
    examples="""
corten bootstrap debian:bookworm            make a base image from Debian's packages
corten build -t example/hello .             build the Dockerfile in this directory
corten run -d -p 8080:8080 example/hello    run it
corten push example/hello                   give it to a registry
corten COMMAND --help                       more about a command
""",
)


def register_shells() -> None:
    """Let click know what replaces its own completion for a shell."""
    from click.shell_completion import add_completion_class

    from corten.cli.bash import BashComplete

    add_completion_class(BashComplete)


def main(arguments: Sequence[str]) -> int:
    """Run a command line; the exit status.  Raises: BrokenPipeError: nobody reads the output."""
    if instruction := os.environ.get("_CORTEN_COMPLETE"):
        from click.shell_completion import shell_complete

        register_shells()
        return shell_complete(corten, {"obj": Globals()}, "corten", "_CORTEN_COMPLETE", instruction)
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    known = Globals()
    try:
        with corten.make_context("corten", list(arguments), obj=known, color=False) as context:
            result = corten.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        sys.stderr.write(error.format_message() + "\n")
        return USAGE
    except BrokenPipeError:
        raise
    except (Exception, KeyboardInterrupt) as error:
        report(error, sys.stderr, debug=known.debug)
        return exit_status(error, known.command or _command_of(error))
    return result if isinstance(result, int) else 0


def _command_of(error: BaseException) -> str:
    """The name of the command whose arguments are wrong, if that is the error."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    return (context.command.name or "") if context is not None else ""
