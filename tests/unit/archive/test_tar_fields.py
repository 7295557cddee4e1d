"""The fields of tar headers and pax records."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corten.archive import tar_fields as fields
from corten.errors import CortenError, Invalid


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"0000644\0", 0o644),
        (b" 644 \0\0\0", 0o644),
        (b"\0\0\0\0", 0),
        (b"    ", 0),
        (b"777777777777", 0o777777777777),
        (b"\x80\0\0\x01", 1),
        (b"\xff\xff\xff\xff", -1),
        (b"\xff\xff\xff\xfe", -2),
        (b"\xbf\xff\xff\xff", 2**30 - 1),
    ],
)
def test_numbers_are_octal_or_base_256(field: bytes, value: int) -> None:
    assert fields.number(field, "it") == value


@pytest.mark.parametrize("field", [b"12_34\0\0\0", b"+12\0", b"0o12\0", b"99\0", b"-1\0", b"1 2\0"])
def test_what_only_python_takes_for_a_number_is_refused(field: bytes) -> None:
    with pytest.raises(Invalid, match="it is"):
        fields.number(field, "it")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"0", 0),
        (b"1.5", 1_500_000_000),
        (b"1.", 1_000_000_000),
        (b"1.123456789999", 1_123_456_789),
        (b"-1", -1_000_000_000),
        (b"-0.5", -500_000_000),
        (b"-1.0000000001", -1_000_000_001),
    ],
)
def test_times_are_decimal_seconds_rounded_down(text: bytes, value: int) -> None:
    assert fields.nanoseconds(text) == value


@pytest.mark.parametrize("text", [b"", b".5", b"1e9", b"inf", b" 1", b"1.5.5", b"1_0", b"1" * 31])
def test_malformed_times_are_refused(text: bytes) -> None:
    with pytest.raises(Invalid):
        fields.nanoseconds(text)


def test_pax_values_may_hold_anything() -> None:
    assert fields.parse_pax(b"11 a=b=c\n\0\n") == [(b"a", b"b=c\n\0")]


def test_nul_padding_after_pax_records_is_ignored() -> None:
    assert fields.parse_pax(b"6 a=b\n\0\0\0") == [(b"a", b"b")]


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused(body: bytes) -> None:
    try:
        fields.overrides(dict(fields.parse_pax(body)))
    except CortenError as error:
        assert isinstance(error, Invalid)


def test_attribute_names_that_are_not_utf8_survive() -> None:
    changes = fields.overrides({b"SCHILY.xattr.user.\xff": b"v"})
    (name,) = changes["xattrs"]
    assert name.encode("utf-8", "surrogateescape") == b"user.\xff"


def test_sparse_maps_are_checked() -> None:
    assert fields.sparse_pairs([0, 5, 10, 0, 20, 5], 25, 10) == ((0, 5), (20, 5))
    for numbers, real, stored in (
        ([0], 1, 0),
        ([0, 5, 3, 5], 20, 10),
        ([0, 30], 20, 30),
        ([0, 5], 20, 6),
        ([-5, 5], 20, 5),
    ):
        with pytest.raises(Invalid):
            fields.sparse_pairs(numbers, real, stored)
