"""Ranges of downloads and uploads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corten.wire import ranges
from corten.wire.codes import Refused
from corten.wire.ranges import Span


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("bytes=0-", Span(0, 100)),
        ("bytes=0-0", Span(0, 1)),
        ("bytes=10-19", Span(10, 20)),
        ("bytes=90-1000", Span(90, 100)),
        ("bytes=-10", Span(90, 100)),
        ("bytes=-1000", Span(0, 100)),
        ("BYTES=99-", Span(99, 100)),
    ],
)
def test_single_ranges(text: str, span: Span) -> None:
    assert ranges.parse_range(text, 100) == span


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=0-1,3-4",
        "items=0-1",
        "bytes=5-1",
        "bytes=0x1-2",
        "bytes=1-2 junk",
        "bytes=" + "9" * 30 + "-",
    ],
)
def test_malformed_and_multiple_ranges_count_as_absent(text: str) -> None:
    assert ranges.parse_range(text, 100) is None


@pytest.mark.parametrize("text", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_ranges_outside_are_refused_with_416(text: str) -> None:
    with pytest.raises(Refused) as caught:
        ranges.parse_range(text, 100)
    assert (caught.value.status, caught.value.code) == (416, "RANGE_INVALID")


def test_no_range_of_an_empty_body_exists() -> None:
    for text in ("bytes=0-", "bytes=-5"):
        with pytest.raises(Refused):
            ranges.parse_range(text, 0)


@given(st.integers(0, 10**15), st.integers(1, 10**15))
def test_content_range_round_trip(start: int, length: int) -> None:
    span = Span(start, start + length)
    size = span.stop + 7
    assert ranges.parse_content_range(ranges.format_content_range(span, size)) == (span, size)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bytes",
        "bytes 5-1/10",
        "bytes 0-10/10",
        "bytes */10",
        "0-1/2",
        "bytes 0-1",
        "bytes a-b/c",
    ],
)
def test_malformed_content_ranges(text: str) -> None:
    assert ranges.parse_content_range(text) is None


def test_content_range_of_unknown_size() -> None:
    assert ranges.parse_content_range("bytes 5-9/*") == (Span(5, 10), None)


@given(st.integers(0, 10**15), st.integers(1, 10**15))
def test_chunk_round_trip(start: int, length: int) -> None:
    span = Span(start, start + length)
    assert ranges.parse_chunk(ranges.format_chunk(span)) == span


@pytest.mark.parametrize("text", ["bytes 0-9/*", "bytes=0-9", "0-9", " 0-9 ", "0-9/10"])
def test_chunks_in_the_forms_that_clients_use(text: str) -> None:
    assert ranges.parse_chunk(text) == Span(0, 10)


@pytest.mark.parametrize("text", ["", "a-b", "9-0", "-1", "1-", "0-1-2", "٠-٩", "1" * 25 + "-2"])
def test_malformed_chunks_are_refused(text: str) -> None:
    with pytest.raises(Refused) as caught:
        ranges.parse_chunk(text)
    assert caught.value.code == "BLOB_UPLOAD_INVALID"


@given(st.integers(2, 10**15))
def test_received_round_trip(size: int) -> None:
    assert ranges.parse_received(ranges.format_received(size)) == size


def test_received_cannot_tell_none_from_one_and_says_none() -> None:
    assert ranges.format_received(0) == ranges.format_received(1) == "0-0"
    assert ranges.parse_received("0-0") == 0


@pytest.mark.parametrize("text", ["", "x", "5-9", "bytes"])
def test_malformed_received_is_nothing(text: str) -> None:
    assert ranges.parse_received(text) == 0


def test_format_range_asks_for_the_rest() -> None:
    assert ranges.parse_range(ranges.format_range(7), 10) == Span(7, 10)


def test_length_of_a_span() -> None:
    assert Span(3, 10).length == 7
