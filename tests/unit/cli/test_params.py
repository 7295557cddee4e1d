"""Types of options: durations, sizes, pairs."""

from __future__ import annotations

import click
import pytest

from corten.cli.params import ByteSize, Duration, pairs


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10", 10),
        ("0", 0),
        ("1.5", 1.5),
        ("90s", 90),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("1m1s", 61),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "-1", "10x", "1h 30m", "s", "1e3", "m5"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no duration"):
        Duration().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        *(("0", 0), ("1024", 1024), ("1b", 1), ("64k", 65536), ("64M", 1 << 26)),
        *(("1.5g", 3 << 29), ("2GB", 2 << 30), ("2GiB", 2 << 30), ("1T", 1 << 40)),
    ],
)
def test_sizes_are_binary_as_with_docker(text: str, count: int) -> None:
    assert ByteSize().convert(text, None, None) == count


@pytest.mark.parametrize("text", ["", "x", "-1", "1.2.3", "5p", "1 2"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no size"):
        ByteSize().convert(text, None, None)


def test_pairs_keep_their_order_and_what_follows_the_first_sign() -> None:
    assert list(pairs(("a=1", "b=x=y", "c"), "--label")) == [("a", "1"), ("b", "x=y"), ("c", "")]


def test_a_pair_without_a_name_is_refused() -> None:
    with pytest.raises(click.BadParameter):
        list(pairs(("=1",), "--label"))
