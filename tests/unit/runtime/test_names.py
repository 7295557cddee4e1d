"""Names for containers."""

import pytest

from corten.errors import Invalid
from corten.runtime.names import check_name, friendly_name


@pytest.mark.parametrize("name", ["a", "web-1", "A.b_c", "0", "x" * 128])
def test_names_that_are_allowed(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "-a", ".a", "_a", "a/b", "a b", "ä", "x" * 129, "a\n", "../x"]
)
def test_names_that_are_not(name: str) -> None:
    with pytest.raises(Invalid, match="cannot be a name"):
        check_name(name)


def test_friendly_names_are_names_of_two_words() -> None:
    for _ in range(200):
        first, second = check_name(friendly_name()).split("_")
        assert first.isalpha() and second.isalpha()


def test_friendly_names_differ() -> None:
    assert len({friendly_name() for _ in range(50)}) > 30


def test_later_attempts_have_a_number() -> None:
    assert friendly_name(5).split("_")[2].isdigit()
