"""Plain forms of ``corten push``: the quick way does what the full command line does."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corten.cli.commands.push import command
from corten.cli.frame import Globals
from corten.cli.main import corten as by_frame
from corten.cli.quick_push import parse_push
from corten.cli.quick_words import Plain
from support.commands import corten

PLAIN = [
    "push example/hello",
    "push -q 127.0.0.1:5000/a:1",
    "push a --quiet",
    "--root /r push a",
    "--root=/r push -q a",
]
OTHER = [
    "push",
    "push -q",
    "push a b",
    "push --insecure a",
    "push -- a",
    "push --quiet=true a",
    "push --help",
    "--root= push a",
    "--progress json push a",
    "image push a",
    "tag push push",
]


def by_click(words: list[str]) -> tuple[str, str, bool]:
    """Root, name and quietness, as the full command line understands the words."""
    known = Globals()
    at = words.index("push") + 1
    with (
        by_frame.make_context("corten", words[:at], obj=known) as context,
        command.make_context("push", words[at:], parent=context) as inner,
    ):
        assert not inner.params["insecure"]
        return known.root, inner.params["name"], inner.params["quiet"]


def meant(plain: Plain) -> tuple[str, str, bool]:
    """The same of what the quick way found."""
    return plain.root, plain.names[0], bool(plain.switches)


@pytest.mark.parametrize("line", PLAIN)
def test_plain_forms_mean_what_the_frame_makes_of_them(line: str) -> None:
    found = parse_push(line.split())
    assert found is not None
    assert meant(found) == by_click(line.split())


@pytest.mark.parametrize("line", OTHER)
def test_everything_else_is_left_to_the_frame(line: str) -> None:
    assert parse_push(line.split()) is None


@given(st.lists(st.sampled_from(["push", "a", "-q", "--quiet", "--", "--root", "--root=/r", ""])))
@settings(deadline=None)
def test_what_is_understood_is_understood_alike(words: list[str]) -> None:
    found = parse_push(words)
    if found is not None:
        assert meant(found) == by_click(words)


def test_errors_are_said_as_the_frame_says_them(tmp_path: Path) -> None:
    quick = corten("push", "127.0.0.1:1/no:1", root=tmp_path)
    framed = corten("--debug", "push", "127.0.0.1:1/no:1", root=tmp_path)
    assert quick.returncode == framed.returncode == 1
    assert quick.stderr.startswith("corten: no image 127.0.0.1:1/no:1 here\nhint: ")
    assert framed.stderr.endswith(quick.stderr)
