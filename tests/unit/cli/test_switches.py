"""Switches with values, as Docker's command line has them."""

from __future__ import annotations

import click
import pytest

from corten.cli.switches import OptionalValue, plain_switches
from support.commands import corten

OPTIONS = [
    click.Option(["--pull"], is_flag=True),
    click.Option(["-d", "--detach"], is_flag=True),
    click.Option(["-e", "--env"], multiple=True),
    click.Option(["--name"]),
    click.Argument(["image"]),
]


@pytest.mark.parametrize(
    ("line", "plain"),
    [
        ("--pull=true x", "--pull x"),
        ("--pull=false x", "x"),
        ("--pull=1 -d=0 x", "--pull x"),
        ("-d=true x", "-d x"),
        ("--name=false x", "--name=false x"),
        ("--name --pull=false x", "--name --pull=false x"),
        ("-e --pull=false x", "-e --pull=false x"),
        ("-de --pull=false --pull=false x", "-de --pull=false x"),
        ("-eA=1 --pull=true x", "-eA=1 --pull x"),
        ("-- --pull=false", "-- --pull=false"),
        ("--unknown=false x", "--unknown=false x"),
        ("x --pull=false y", "x y"),
        ("--name", "--name"),
        ("", ""),
    ],
)
def test_switches_with_values_become_plain_ones(line: str, plain: str) -> None:
    assert plain_switches(line.split(), OPTIONS, interspersed=True) == plain.split()


def test_what_follows_the_first_argument_belongs_to_the_process() -> None:
    words = ["--detach=true", "x", "--pull=false"]
    assert plain_switches(words, OPTIONS, interspersed=False) == ["--detach", "x", "--pull=false"]


def test_another_value_is_an_error() -> None:
    with pytest.raises(click.BadParameter, match="neither true nor false"):
        plain_switches(["--pull=maybe"], OPTIONS, interspersed=True)
    result = corten("build", "--no-cache=maybe", ".")
    assert result.returncode == 2
    assert result.stderr.splitlines()[0].endswith("'maybe' is neither true nor false")


def test_an_option_may_have_a_value_or_none() -> None:
    options = [
        OptionalValue(["--provenance"], bare="mode=min"),
        click.Option(["-o"]),
    ]

    def plain(*words: str) -> list[str]:
        return plain_switches(words, options, interspersed=True)

    assert plain("--provenance", ".") == ["--provenance=mode=min", "."]
    assert plain("--provenance=mode=max", ".") == ["--provenance=mode=max", "."]
    assert plain("-o", "--provenance") == ["-o", "--provenance"]
