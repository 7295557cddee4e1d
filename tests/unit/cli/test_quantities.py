"""Sizes and times as people read them."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corten.cli.quantities import ago, duration, elapsed, epoch, size

MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0B"),
        (999, "999B"),
        (1000, "1kB"),
        (1023, "1.02kB"),
        (12_345_678, "12.3MB"),
        (187_000_000, "187MB"),
        (999_949, "1MB"),
        (999_499, "999kB"),
        (1_500_000_000, "1.5GB"),
        (10**18, "1EB"),
        (5 * 10**21, "5000EB"),
    ],
)
def test_sizes_have_decimal_units_and_three_digits(count: int, text: str) -> None:
    assert size(count) == text


@given(st.integers(0, 10**20))
def test_a_size_is_never_written_with_an_exponent(count: int) -> None:
    assert "e" not in size(count).lower().replace("eb", "")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "Less than a second"),
        (0.9, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (MINUTE, "About a minute"),
        (2 * MINUTE, "2 minutes"),
        (59 * MINUTE + 59, "59 minutes"),
        (HOUR, "About an hour"),
        (1.5 * HOUR, "2 hours"),
        (47 * HOUR, "47 hours"),
        (47.6 * HOUR, "2 days"),
        (13 * DAY, "13 days"),
        (14 * DAY, "2 weeks"),
        (60 * DAY, "2 months"),
        (729 * DAY, "24 months"),
        (730 * DAY, "2 years"),
    ],
)
def test_durations_are_docker_s_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text
    assert ago(seconds) == f"{text} ago"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0s"),
        (-1, "0.0s"),
        (59.94, "59.9s"),
        (59.96, "1m 00s"),
        (182, "3m 02s"),
        (3780, "1h 03m"),
    ],
)
def test_the_running_time_of_a_step(seconds: float, text: str) -> None:
    assert elapsed(seconds) == text


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)), st.integers(-1439, 1439))
def test_times_are_read_as_datetime_reads_them(moment: datetime, minutes: int) -> None:
    sign = "-" if minutes < 0 else "+"
    zone = f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    text = f"{moment.replace(microsecond=0).isoformat()}{zone}"
    assert epoch(text) == datetime.fromisoformat(text).timestamp()


def test_fractions_and_utc_are_understood() -> None:
    assert epoch("1970-01-01T00:00:01.999999999Z") == 1
    assert epoch("2026-11-24T04:00:10Z") == 1795492810


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00X"])
def test_what_is_no_time_is_none(text: str) -> None:
    assert epoch(text) is None
