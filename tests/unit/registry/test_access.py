"""Who may do what."""

import pytest

from corten.errors import Usage
from corten.registry.access import (
    ANONYMOUS,
    Action,
    Anonymous,
    anonymous_access,
    challenge,
    default_level,
)
from corten.wire.challenge import parse_challenges

ACTIONS: tuple[Action, ...] = ("pull", "list", "push", "delete")


@pytest.mark.parametrize(
    ("level", "granted"),
    [("none", set()), ("read", {"pull", "list"}), ("write", set(ACTIONS))],
)
def test_levels(level: Anonymous, granted: set[str]) -> None:
    allows = anonymous_access(level)
    assert {action for action in ACTIONS if allows(ANONYMOUS, action, "a")} == granted


def test_loopback_is_open_and_everything_else_is_closed() -> None:
    assert default_level(loopback=True) == "write"
    assert default_level(loopback=False) == "none"


@pytest.mark.parametrize("level", ["none", "read", "write"])
def test_what_is_said_counts(level: str) -> None:
    assert default_level(True, level) == default_level(False, level) == level


def test_what_is_no_level_is_a_usage_error() -> None:
    with pytest.raises(Usage, match="everything"):
        default_level(True, "everything")


def test_the_challenge_can_be_read() -> None:
    (found,) = parse_challenges(challenge())
    assert found.scheme == "basic"
    assert found.parameters["realm"]
