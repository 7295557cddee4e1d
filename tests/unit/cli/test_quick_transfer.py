"""Plain forms of ``corten pull`` and ``push``: the quick way does what the full command line does."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corten.cli.commands import pull, push
from corten.cli.frame import Globals
from corten.cli.main import corten as by_frame
from corten.cli.quick_transfer import Transfer, parse_transfer
from support.commands import corten

PLAIN = [
    "push example/hello",
    "push -q 127.0.0.1:5000/a:1",
    "pull a --quiet",
    "--root /r push a",
    "--root=/r pull -q a",
]
OTHER = [
    "push",
    "pull -q",
    "push a b",
    "push --insecure a",
    "pull --platform linux/arm64 a",
    "push -- a",
    "push --quiet=true a",
    "pull --help",
    "--root= push a",
    "--progress json pull a",
    "image push a",
    "tag push pull",
]
Meant = tuple[str, str, str, bool]
"""The command, the root, the image's name, whether it is quiet."""


def by_click(words: list[str]) -> Meant:
    """What the full command line makes of the words."""
    known = Globals()
    at = next(at for at, word in enumerate(words) if word in ("pull", "push"))
    command = {"pull": pull, "push": push}[words[at]].command
    with (
        by_frame.make_context("corten", words[: at + 1], obj=known) as context,
        command.make_context(words[at], words[at + 1 :], parent=context) as inner,
    ):
        assert not inner.params["insecure"]
        assert not inner.params.get("platform")
        return words[at], known.root, inner.params["name"], inner.params["quiet"]


def meant(found: Transfer) -> Meant:
    """The same of what the quick way found."""
    words = found.words
    return found.command, words.root, words.names[0], bool(words.switches)


@pytest.mark.parametrize("line", PLAIN)
def test_plain_forms_mean_what_the_frame_makes_of_them(line: str) -> None:
    found = parse_transfer(line.split())
    assert found is not None
    assert meant(found) == by_click(line.split())


@pytest.mark.parametrize("line", OTHER)
def test_everything_else_is_left_to_the_frame(line: str) -> None:
    assert parse_transfer(line.split()) is None


@given(
    st.lists(
        st.sampled_from(["push", "pull", "a", "-q", "--quiet", "--", "--root", "--root=/r", ""])
    )
)
@settings(deadline=None)
def test_what_is_understood_is_understood_alike(words: list[str]) -> None:
    found = parse_transfer(words)
    if found is not None:
        assert meant(found) == by_click(words)


@pytest.mark.parametrize("command", ["push", "pull"])
def test_errors_are_said_as_the_frame_says_them(tmp_path: Path, command: str) -> None:
    quick = corten(command, "127.0.0.1:1/no:1", root=tmp_path)
    framed = corten("--debug", command, "127.0.0.1:1/no:1", root=tmp_path)
    assert quick.returncode == framed.returncode == 1
    message = quick.stderr.partition("corten: ")[2]
    assert message.startswith(
        "no image 127" if command == "push" else "127.0.0.1:1 does not answer"
    )
    assert "\nhint: " in message
    assert framed.stderr.endswith(message)
