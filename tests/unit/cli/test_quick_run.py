"""Plain forms of ``corten run``: the quick way understands them as the full command line does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corten.cli.commands.run import command
from corten.cli.container_flags import container_options
from corten.cli.frame import Globals
from corten.cli.main import corten
from corten.cli.quick_run import LISTS, SWITCHES, TEXTS, parse_run
from corten.engine.creation import ContainerOptions


def by_click(words: list[str]) -> tuple[str, bool, ContainerOptions]:
    """What the full command line makes of the words: root, detached, options."""
    known = Globals()
    at = words.index("run") + 1
    with (
        corten.make_context("corten", words[:at], obj=known) as context,
        command.make_context("run", words[at:], parent=context) as inner,
    ):
        flags = dict(inner.params)
    detach = flags.pop("detach")
    return known.root, detach, container_options(flags)


PLAIN = [
    "run busybox",
    "run --rm --network=none busybox true",
    "run --rm --network none busybox sh -c true",
    "run -it busybox sh",
    "run -i -t --rm busybox",
    "run -dit --name web busybox",
    "run -d -p 8080:80 --publish 9090:90 --publish=1:2 busybox",
    "run -P --read-only --privileged --init busybox",
    "run -e A=1 -e B --env C=2=3 --env=D= --env-file f busybox env",
    "run -v /a:/b --volume /c:/d:ro --mount type=bind,src=/a,dst=/b --tmpfs /t busybox",
    "run -w /x -u me:us -h here --workdir /y busybox",
    "run --hostname=a --hostname b busybox",
    "run --cap-add ALL --cap-drop=CHOWN -l a=b --label c=d busybox",
    "run --stop-signal INT --platform linux/arm64 busybox",
    "run --name= busybox",
    "run busybox --rm -it -- x",
    "run busybox -- x",
    "run busybox run run",
    "--root /r run busybox",
    "--root=/r run --rm busybox a=b",
]


@pytest.mark.parametrize("line", PLAIN)
def test_plain_forms_mean_what_they_mean_to_the_full_command_line(line: str) -> None:
    words = line.split()
    request = parse_run(words)
    assert request is not None
    assert tuple(request) == by_click(words)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "run",
        "run --rm",
        "run --help",
        "images run",
        "container run busybox",
        "create busybox",
        "--debug run busybox",
        "--root",
        "--root= run busybox",
        "--progress plain run busybox",
        "run --root /r busybox",
        "run --debug busybox",
        "run --rm=true busybox",
        "run --rm=false busybox",
        "run -- busybox",
        "run - busybox",
        "run -eA=1 busybox",
        "run -ite A=1 busybox",
        "run -e=A busybox",
        "run --env -x busybox",
        "run --name",
        "run --memory 1g busybox",
        "run -m 1g busybox",
        "run --cpus=2 busybox",
        "run --pull always busybox",
        "run --entrypoint sh busybox",
        "run --stop-timeout 3 busybox",
        "run --nam x busybox",
        "run --unknown busybox",
    ],
)
def test_everything_else_is_left_to_the_full_command_line(line: str) -> None:
    assert parse_run(line.split()) is None


def test_a_file_as_the_root_is_left_to_the_full_command_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert parse_run(["--root", str(file), "run", "busybox"]) is None
    assert parse_run(["--root", str(tmp_path), "run", "busybox"]) is not None


@pytest.mark.root
def test_a_root_that_may_not_be_read_is_left_to_the_full_command_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "closed").mkdir(mode=0)
    code = (
        "import os; from corten.cli.quick_words import split_root\n"
        "os.setresuid(1, 1, 1)\n"
        "print(split_root(['--root', 'closed', 'run']), split_root(['--root', 'none', 'run']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "None ('none', ['run'])\n"


def test_an_empty_image_is_left_to_the_full_command_line() -> None:
    assert parse_run(["run", ""]) is None
    assert parse_run(["run", "--name", "", "busybox"]) is not None


def test_every_option_is_one_of_the_full_command_line_of_the_same_kind() -> None:
    options = {
        name: parameter
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for name in parameter.opts
    }
    for table, kind in ((SWITCHES, (True, False)), (TEXTS, (False, False)), (LISTS, (False, True))):
        for name, field in table.items():
            option = options[name]
            assert (option.is_flag, option.multiple) == kind, name
            assert option.name == field
            assert option.is_flag or isinstance(option.type, click.types.StringParamType), name


OTHERS = (
    """-- - -it -dx a b=c --name=x -e=f --rm=true --env=A=1 --memory 1g --root busybox run --help"""
)
WORDS = st.sampled_from([*SWITCHES, *TEXTS, *LISTS, *OTHERS.split(), ""])


@given(st.lists(WORDS, max_size=7))
@settings(deadline=None)
def test_any_words_mean_the_same_or_are_left_alone(words: list[str]) -> None:
    request = parse_run(["run", *words])
    if request is not None:
        assert tuple(request) == by_click(["run", *words])
