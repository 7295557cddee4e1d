"""The ``check`` directive: rules left out, experimental ones taken in, errors asked for."""

from __future__ import annotations

import pytest

from corten.dockerfile.errors import DockerfileError
from corten.dockerfile.lint.checking import check
from corten.dockerfile.lint.finding import Report, Surroundings
from corten.dockerfile.parser import parse

BODY = "\nFROM a as B\nCMD x\n"


def report(directive: str, argument: str = "") -> Report:
    text = directive + BODY
    given = {"BUILDKIT_DOCKERFILE_CHECK": argument} if argument else {}
    return check(text, parse(text), Surroundings(build_args=given))


def names(directive: str) -> list[str]:
    return sorted(one.rule.name for one in report(directive).findings)


@pytest.mark.parametrize(
    ("directive", "left"),
    [
        ("", ["FromAsCasing", "JSONArgsRecommended", "StageNameCasing"]),
        ("# check=skip=all", []),
        ("#check=skip=FromAsCasing", ["JSONArgsRecommended", "StageNameCasing"]),
        ("# check=skip=FromAsCasing, StageNameCasing ; error=true", ["JSONArgsRecommended"]),
        ("# CHECK = error=true;skip=JSONArgsRecommended", ["FromAsCasing", "StageNameCasing"]),
        (
            "# syntax=docker/dockerfile:1\n# check=skip=FromAsCasing",
            ["JSONArgsRecommended", "StageNameCasing"],
        ),
        (
            "# a comment\n# check=skip=all",
            ["FromAsCasing", "JSONArgsRecommended", "StageNameCasing"],
        ),
    ],
)
def test_skipped_rules_are_not_checked(directive: str, left: list[str]) -> None:
    assert names(directive) == left


@pytest.mark.parametrize(
    ("directive", "error"),
    [
        ("# check=error=true", True),
        ("# check=error=1;skip=all", True),
        ("# check=error=False", False),
        ("# check=skip=all", False),
    ],
)
def test_a_file_may_ask_for_errors(directive: str, error: bool) -> None:
    assert report(directive).error is error


def test_names_of_no_rule_are_told_and_skip_nothing() -> None:
    found = report("# check=skip=fromascasing,all2;experimental=Nothing")
    assert found.unknown == ("Nothing", "all2", "fromascasing")
    assert len(found.findings) == 3


@pytest.mark.parametrize(
    ("directive", "reason"),
    [
        ("# syntax=x\n# check=skip=A;foo=bar", "invalid check option 'foo=bar'"),
        ("# check=error=maybe", "error is true or false, not 'maybe'"),
    ],
)
def test_a_wrong_directive_is_an_error_with_its_place(directive: str, reason: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        report(directive)
    assert reason in str(caught.value)
    assert caught.value.source == directive.rsplit("\n", maxsplit=1)[-1]
    assert caught.value.line == directive.count("\n") + 1


def test_skip_without_names_skips_nothing() -> None:
    assert len(report("# check=skip=").findings) == 3
    assert len(report("# check=skip").findings) == 3


def test_a_build_argument_holds_instead_of_the_directive() -> None:
    found = report("# check=skip=all", "skip=FromAsCasing;error=true")
    assert [one.rule.name for one in found.findings] == ["StageNameCasing", "JSONArgsRecommended"]
    assert found.error
    with pytest.raises(DockerfileError, match="in the build argument BUILDKIT_DOCKERFILE_CHECK"):
        report("", "error=perhaps")
