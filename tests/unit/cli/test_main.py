"""The real command line: help, errors, completion."""

from __future__ import annotations

import subprocess
from importlib import import_module

import click
import pytest

from corten import __version__
from corten.cli.frame import Group
from corten.cli.index import COMMANDS
from corten.cli.main import corten as top
from support.commands import COMMAND, corten, environment


def all_commands() -> list[tuple[str, click.Command]]:
    """Every command with its path, aliases in groups included."""
    found: list[tuple[str, click.Command]] = []
    pending: list[tuple[str, Group]] = [("corten", top)]
    while pending:
        path, group = pending.pop()
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            found.append((f"{path} {name}", command))
            if isinstance(command, Group):
                pending.append((f"{path} {name}", command))
    return sorted(found)


ALL = all_commands()


def test_help_lists_every_command_by_section() -> None:
    result = corten("--help")
    assert (result.returncode, result.stderr) == (0, "")
    for name, entry in COMMANDS.items():
        assert f"  {name} " in result.stdout
        assert f"{entry.section}:\n" in result.stdout
    assert "Global options:\n" in result.stdout
    assert "Examples:\n" in result.stdout


def test_version() -> None:
    assert corten("--version").stdout == f"corten {__version__}\n"
    result = corten("version", "--format", "{{.Version}}")
    assert (result.stdout, result.returncode) == (f"{__version__}\n", 0)


@pytest.mark.parametrize(("path", "command"), ALL, ids=[path for path, _ in ALL])
def test_every_command_explains_itself(path: str, command: click.Command) -> None:
    context = click.Context(command, info_name=path)
    text = command.get_help(context)
    assert f"Usage: {path}" in text
    assert command.help
    assert max(map(len, text.splitlines())) <= 100
    if not isinstance(command, Group):
        assert "Examples:" in text, "a command without an example"
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert parameter.help, f"{path} {parameter.opts[0]} has no help"
    assert "Global options:" in text


@pytest.mark.parametrize(("path", "command"), ALL, ids=[path for path, _ in ALL])
def test_every_command_takes_the_global_options(path: str, command: click.Command) -> None:
    options = {name for parameter in command.params for name in parameter.opts}
    assert {"--root", "--progress", "--debug", "--storage-driver"} <= options


@pytest.mark.parametrize("name", COMMANDS)
def test_the_summary_in_the_table_is_the_first_line_of_the_help(name: str) -> None:
    module = import_module(f"corten.cli.commands.{COMMANDS[name].module}")
    help_text = module.command.help or ""
    assert help_text.strip().partition("\n")[0].rstrip(".") == COMMANDS[name].summary


def test_an_unknown_command_names_its_neighbour() -> None:
    result = corten("vresion")
    assert result.returncode == 2
    assert result.stderr == (
        "corten: there is no command 'vresion' in corten\nhint: did you mean version?\n"
    )
    result = corten("xyzzy")
    assert result.stderr.endswith("hint: see corten --help\n")


@pytest.mark.parametrize("name", ["login", "logout"])
def test_login_is_not_there_yet_and_says_where_credentials_are_read_from(name: str) -> None:
    result = corten(name, "registry.example")
    assert result.returncode == 2
    first, second = result.stderr.splitlines()
    assert first == f"corten: there is no command {name!r} in corten yet"
    assert second.startswith("hint: credentials are read from ~/.docker/config.json")


def test_help_says_where_progress_and_results_go() -> None:
    text = " ".join(corten("build", "--help").stdout.split())
    assert "progress, on standard error (results go to standard output)" in text


def test_an_unknown_option_is_one_line_and_a_hint() -> None:
    result = corten("version", "--frmat", "x")
    assert result.returncode == 2
    first, second = result.stderr.splitlines()
    assert first.startswith("corten: no such option")
    assert second == "hint: see corten version --help"
    assert result.stdout == ""


def test_wrong_options_of_run_end_with_125_as_with_docker() -> None:
    for arguments in (("run",), ("run", "--nope", "x"), ("exec", "x"), ("container", "run")):
        result = corten(*arguments)
        assert result.returncode == 125, arguments
        assert len(result.stderr.splitlines()) == 2


def test_help_is_a_command_too() -> None:
    assert corten("help", "run").stdout == corten("run", "--help").stdout
    assert corten("help").stdout == corten("--help").stdout
    assert corten("help", "image", "ls").stdout == corten("image", "ls", "--help").stdout


def test_no_command_shows_the_help() -> None:
    result = corten()
    assert result.returncode == 2
    assert "Usage: corten" in result.stderr


def test_a_wrong_format_says_what_there_is() -> None:
    result = corten("version", "--format", "{{.Nope}}")
    assert result.returncode == 2
    assert result.stderr.splitlines()[0] == "corten: invalid format: no field 'Nope' in .Nope"
    assert "Version" in result.stderr.splitlines()[1]


def test_debug_shows_where_an_error_came_from() -> None:
    result = corten("version", "--debug", "--format", "{{.Nope}}")
    assert "Traceback" in result.stderr
    assert "Traceback" not in corten("version", "--format", "{{.Nope}}").stderr


def test_a_reader_that_goes_away_is_no_error_message() -> None:
    with subprocess.Popen(
        [*COMMAND, "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_for_corten(shell: str) -> None:
    result = corten("completion", shell)
    assert result.returncode == 0
    assert "_CORTEN_COMPLETE" in result.stdout


def complete(line: str) -> list[str]:
    """What bash would offer for the last word of `line`."""
    words = line.split(" ")
    env = environment(COMP_WORDS=line, COMP_CWORD=str(len(words) - 1))
    env["_CORTEN_COMPLETE"] = "bash_complete"
    result = corten(env=env)
    assert result.stderr == ""
    return [row.partition(",")[2] for row in result.stdout.splitlines()]


def test_commands_options_and_values_complete() -> None:
    assert complete("corten vers") == ["version"]
    assert "--format" in complete("corten version --f")
    assert complete("corten completion z") == ["zsh"]
    assert complete("corten --progress pl") == ["plain"]
    assert set(complete("corten ")) == set(COMMANDS)


def test_summaries_within_groups_are_the_first_lines_of_the_help() -> None:
    for name, command in ALL:
        if isinstance(command, Group):
            for entry in command.entries.values():
                help_text = import_module(f"corten.cli.commands.{entry.module}").command.help
                assert help_text.strip().partition("\n")[0].rstrip(".") == entry.summary, name


def test_a_build_without_a_context_says_how_this_directory_is_written() -> None:
    result = corten("build", "-t", "x")
    assert result.returncode == 2
    assert result.stderr.splitlines() == [
        "corten: missing argument 'CONTEXT'",
        "hint: name the context; for this directory that is a dot: corten build .",
    ]


@pytest.mark.parametrize("path", ["", "container", "image"])
def test_prune_of_one_kind_says_what_prunes(path: str) -> None:
    first, second = corten(*path.split(), "prune").stderr.splitlines()
    assert first == f"corten: there is no command 'prune' in {f'corten {path}'.strip()} yet"
    assert "corten system prune" in second


@pytest.mark.parametrize(
    ("name", "instead"), [("cp", "export"), ("top", "exec"), ("volume", "-v NAME:DIR")]
)
def test_a_command_of_dockers_that_is_missing_says_what_does_instead(
    name: str, instead: str
) -> None:
    first, second = corten(name, "x").stderr.splitlines()
    assert first == f"corten: there is no command {name!r} in corten yet"
    assert instead in second
