"""The report of ``build --check``."""

from __future__ import annotations

from corten.cli.lint_report import lines_of
from corten.dockerfile.fixing import Change
from corten.dockerfile.lint.checking import check
from corten.dockerfile.lint.finding import Surroundings
from corten.dockerfile.parser import parse
from corten.engine.linting import Linted


def report(text: str, *changes: Change) -> list[str]:
    return list(lines_of(Linted(text, check(text, parse(text), Surroundings()), changes)))


def test_nothing_to_say() -> None:
    assert report("FROM a\n") == ["Check complete, no warnings found."]


def test_a_finding_has_rule_link_message_place_and_the_lines_around() -> None:
    text = "# x\n# y\nFROM a\nEXPOSE 80 \\\n\t81/TCP\nRUN x\nRUN y\n"
    assert report(text) == [
        "Check complete, 1 warning has been found!",
        "",
        "WARNING: ExposeProtoCasing - "
        "https://docs.docker.com/go/dockerfile/rule/expose-proto-casing/",
        "Defined protocol '81/TCP' in EXPOSE instruction should be lowercase",
        "Dockerfile:5",
        "--------------------",
        "   3 |     FROM a",
        "   4 | >>> EXPOSE 80 \\",
        "   5 | >>>     81/TCP",
        "     |         ^^^^^^",
        "   6 |     RUN x",
        "--------------------",
        "--fix can mend 1 of them.",
    ]


def test_a_finding_about_a_whole_instruction_has_no_pointer() -> None:
    said = report("FROM a\nMAINTAINER $joe\n")
    assert said[4:] == [
        "Dockerfile:2",
        "--------------------",
        "   1 |     FROM a",
        "   2 | >>> MAINTAINER $joe",
        "--------------------",
    ]


def test_of_a_long_instruction_the_lines_around_the_place_are_shown() -> None:
    text = "FROM a\nENV " + " \\\n  ".join(f"A{n}=$A" for n in range(40)) + " \\\n  B_TOKEN=1\n"
    said = report(text)
    shown = [line for line in said if "| " in line and "^" not in line]
    assert [int(line.split("|")[0]) for line in shown] == [39, 40, 41, 42]
    assert "     |       ^^^^^^^" in said


def test_of_many_findings_the_first_are_shown_in_full() -> None:
    said = report("FROM a\n" + "EXPOSE 80/TCP\n" * 60)
    assert sum(line.startswith("WARNING") for line in said) == 50
    assert said[-2].startswith("Dockerfile:61: ExposeProtoCasing: Defined protocol")
    assert said[-1] == "--fix can mend 60 of them."


def test_what_was_mended_is_shown_like_a_diff() -> None:
    change = Change(3, "From a as b", "FROM a AS b", ("FromAsCasing", "StageNameCasing"))
    assert report("FROM a\n", change) == [
        "Dockerfile:3 FromAsCasing, StageNameCasing",
        "- From a as b",
        "+ FROM a AS b",
        "",
        "1 instruction of Dockerfile mended",
        "Check complete, no warnings left.",
    ]


def test_errors_and_unknown_names_are_said_at_the_end() -> None:
    said = report("# check=error=true;skip=FromAsCase\nFROM a as b\n")
    assert said[-3:] == [
        "NOTE: the check directive names FromAsCase: did you mean FromAsCasing?",
        "ERROR: lint violation found for rules: FromAsCasing",
        "--fix can mend 1 of them.",
    ]


def test_control_characters_do_not_reach_the_terminal() -> None:
    said = report("FROM a\nENV A b\x1b[2J\x07\x9b\nMAINTAINER \x1b]0;x\x07\n")
    assert not any(char in line for line in said for char in "\x1b\x07\x9b")
