"""The frame that every command stands in: global options, lazy groups, help like a man page."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec

from corten.cli.views.modes import MODES
from corten.config.settings import Settings
from corten.events.job import Job

if TYPE_CHECKING:
    from click.types import OptionHelpExtra

    from corten.engine.host import Host

WIDTH = 100
"""Help is not set wider than this."""
_CREDENTIALS = (
    "credentials are read from ~/.docker/config.json and podman's auth.json: "
    "docker login or podman login writes them"
)
_PROCESSES = "corten exec CONTAINER ps"
_VOLUMES = "-v NAME:DIR makes a volume; corten rm -v removes a container's nameless ones"
_PRUNE = "corten system prune removes stopped containers and images without a name"
_UNMADE = {
    "login": _CREDENTIALS,
    "logout": _CREDENTIALS,
    "commit": "corten export CONTAINER | corten import - NAME; better is a Dockerfile",
    "cp": "corten export CONTAINER | tar -x PATH; -v mounts a directory",
    "network": "run --network takes bridge, host, none and container:NAME",
    "port": "corten ps shows ports",
    "prune": _PRUNE,
    "stats": _PROCESSES,
    "top": _PROCESSES,
    "volume": _VOLUMES,
}
"""Docker's commands that people look for, and what does instead."""


class Globals(msgspec.Struct):
    """The global options of one invocation; given before or after the command's name."""

    root: str = ""
    progress: str = "auto"
    storage_driver: str = ""
    debug: bool = False
    command: str = ""
    """The name of the command that runs: decides about the exit status of an error."""
    host: Host | None = None

    def settings(self) -> Settings:
        """Flags over the environment over the defaults."""
        settings = Settings.load(os.environ, self.root or None)
        if self.storage_driver:
            settings = settings._replace(storage_driver=self.storage_driver)
        return settings


class Entry(NamedTuple):
    """A command that is imported when it is called."""

    module: str
    """Below ``corten.cli.commands``; it has the command as ``command``."""
    summary: str
    """The first line of its help, so that a list of commands needs no import."""
    section: str = "Commands"


def current() -> Globals:
    """The global options of the command that runs."""
    found = click.get_current_context().find_object(Globals)
    assert found is not None, "main() gives every context its Globals"
    return found


def host() -> Host:
    """The host that the global options mean: one for the whole command."""
    known = current()
    if known.host is None:
        from corten.engine.host import Host

        known.host = Host(known.settings())
    return known.host


def reporting(quiet: bool = False) -> AbstractContextManager[Job]:
    """A job shown on standard error as ``--progress`` says."""
    from corten.cli.views.reporter import reporter

    return reporter("quiet" if quiet else current().progress, sys.stderr)


def _store(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    known = context.find_object(Globals)
    if known is not None and value not in (None, "", False) and parameter.name:
        setattr(known, parameter.name.removeprefix("global_"), value)


def global_options() -> list[click.Parameter]:
    """Options that every command and group takes."""

    def option(*names: str, **more: Any) -> click.Option:
        return click.Option(names, expose_value=False, callback=_store, **more)

    return [
        option(
            "--root",
            "global_root",
            metavar="DIR",
            type=click.Path(file_okay=False),
            help="Where corten keeps everything (CORTEN_ROOT).",
        ),
        option(
            "--progress",
            "global_progress",
            metavar="MODE",
            type=click.Choice(MODES),
            help="How to show progress, on standard error (results go to standard output): auto "
            "(live on a terminal, else plain), tty (live, or an error), plain, json (one object a "
            "line), quiet.",
        ),
        option(
            "--storage-driver",
            "global_storage_driver",
            metavar="NAME",
            help="erofs or overlay, instead of what probing finds (CORTEN_STORAGE_DRIVER).",
        ),
        option("--debug", "global_debug", is_flag=True, help="Show tracebacks of errors."),
    ]


class Number(click.Option):
    """An option with a number whose limits go without saying."""

    def get_help_extra(self, ctx: click.Context) -> OptionHelpExtra:
        """The default, without the range of the type."""
        extra = super().get_help_extra(ctx)
        extra.pop("range", None)
        return extra


class _Sectioned(click.Command):
    """Help with sections: text, arguments, options, global options, examples."""

    def __init__(self, *args: Any, examples: str = "", **more: Any) -> None:
        more.setdefault("context_settings", {})
        more["context_settings"].setdefault("help_option_names", ["-h", "--help"])
        more["context_settings"].setdefault("max_content_width", WIDTH)
        super().__init__(*args, **more)
        self.examples = examples
        taken = {name for parameter in self.params for name in parameter.opts}
        self._global = [p for p in global_options() if not taken.intersection(p.opts)]
        self.params += self._global

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Own options first, the global ones under a heading of their own."""
        for heading, wanted in (("Options", False), ("Global options", True)):
            records = [
                record
                for parameter in self.get_params(context)
                if isinstance(parameter, click.Option)
                and (parameter in self._global) is wanted
                and (record := parameter.get_help_record(context)) is not None
            ]
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples, as they are written."""
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples.strip("\n").splitlines():
                    formatter.write(f"{' ' * formatter.current_indent}{line}".rstrip() + "\n")


class Command(_Sectioned):
    """One command.  Notes its name, so that errors find their exit status."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, with values of switches."""
        from corten.cli.switches import plain_switches

        plain = plain_switches(args, self.params, interspersed=ctx.allow_interspersed_args)
        return super().parse_args(ctx, plain)

    def invoke(self, context: click.Context) -> Any:
        """Run it."""
        known = context.find_object(Globals)
        if known is not None:
            known.command = self.name or ""
        return super().invoke(context)


class Group(_Sectioned, click.Group):
    """A group whose commands are imported when they are called."""

    def __init__(self, *args: Any, entries: Mapping[str, Entry], **more: Any) -> None:
        super().__init__(*args, **more)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which the table has them."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import it.  None: there is no such command."""
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        from importlib import import_module

        command = import_module(f"corten.cli.commands.{entry.module}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with a hint at names that are close."""
        if (
            not args[0].startswith("-")
            and args[0] not in self.entries
            and not ctx.resilient_parsing
        ):
            raise UnknownCommand(args[0], self.entries, ctx)
        return super().resolve_command(ctx, args)

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by section, then the options."""
        self.format_commands(context, formatter)
        super().format_options(context, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Names and summaries, none of them imported."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, entry in self.entries.items():
            sections.setdefault(entry.section, []).append((name, entry.summary))
        longest = max(map(len, self.entries), default=0)
        for section, rows in sections.items():
            with formatter.section(section):
                # One width for all sections: padding a name moves the second column.
                formatter.write_dl([(name.ljust(longest), summary) for name, summary in rows])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Command names, without importing the commands."""
        from click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        return [
            CompletionItem(name, help=entry.summary)
            for name, entry in self.entries.items()
            if name.startswith(incomplete)
        ]


class UnknownCommand(click.UsageError):
    """No command has this name; `hint` names those that are close."""

    def __init__(self, name: str, known: Iterable[str], context: click.Context) -> None:
        from difflib import get_close_matches

        path = context.command_path
        instead = _UNMADE.get(name, "")
        super().__init__(
            f"there is no command {name!r} in {path}{' yet' if instead else ''}", context
        )
        if instead:
            self.hint = instead
            return
        close = get_close_matches(name, list(known), n=3, cutoff=0.6)
        self.hint = f"did you mean {' or '.join(close)}?" if close else f"see {path} --help"


def command(
    name: str,
    *,
    examples: str = "",
    passes_arguments: bool = False,
    help_names: Sequence[str] = ("-h", "--help"),
    **more: Any,
) -> Callable[[Callable[..., Any]], Command]:
    """Decorator: a command of the frame.

    With `passes_arguments` options end at the first argument: what follows belongs to
    the process that the command starts.
    """
    settings: dict[str, Any] = {"help_option_names": list(help_names)}
    if passes_arguments:
        settings["allow_interspersed_args"] = False
    more["context_settings"] = settings

    def wrap(function: Callable[..., Any]) -> Command:
        made = click.command(name, cls=Command, examples=examples, **more)(function)
        assert isinstance(made, Command)
        return made

    return wrap


def group(name: str, summary: str, entries: Mapping[str, Entry], **more: Any) -> Group:
    """A management group such as ``corten image``."""
    return Group(name, help=summary, entries=entries, **more)


def echo(lines: Sequence[str] | str) -> None:
    """Write to standard output: a text as it is, or lines."""
    sys.stdout.write(lines if isinstance(lines, str) else "".join(f"{line}\n" for line in lines))
