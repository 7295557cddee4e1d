"""How far bytes may expand, alone and in an inflater."""

from __future__ import annotations

import bz2
import gzip
import lzma

import pytest
import zstandard

from corten.archive.compression import PIECE, Write, inflater
from corten.archive.expansion import RATIO, Expansion, TooLarge
from corten.errors import Corrupt

ZEROS = bytes(3 * PIECE)
FORMS = {
    "gzip": gzip.compress(ZEROS),
    "zstd": zstandard.ZstdCompressor().compress(ZEROS),
    "bzip2": bz2.compress(ZEROS),
    "xz": lzma.compress(ZEROS),
}


def test_anything_may_become_as_large_as_the_limit() -> None:
    expansion = Expansion(1000)
    expansion.take(1)
    expansion.give(1000)
    with pytest.raises(TooLarge, match="1 bytes expand to more than 1000"):
        expansion.give(1)


def test_beyond_the_limit_a_ratio_holds() -> None:
    expansion = Expansion(1000)
    expansion.take(50)
    expansion.give(50 * RATIO)
    with pytest.raises(TooLarge, match="50 bytes expand to more than 5000"):
        expansion.give(1)
    expansion.take(1)
    expansion.give(1)


def test_the_hint_says_how_to_let_it_through() -> None:
    with pytest.raises(TooLarge) as caught:
        Expansion(0).give(1)
    assert "CORTEN_LAYER_LIMIT" in caught.value.hint


def test_without_a_limit_everything_passes() -> None:
    Expansion(None).give(1 << 60)


@pytest.mark.parametrize("form", FORMS)
def test_an_inflater_stops_within_a_piece_of_its_limit(form: str) -> None:
    out = bytearray()
    stream = inflater(form, out.extend, PIECE)
    with pytest.raises(TooLarge):
        stream.feed(FORMS[form])
    assert len(out) <= max(PIECE, RATIO * len(FORMS[form]))


@pytest.mark.parametrize("form", FORMS)
def test_what_stays_within_the_limit_is_inflated_as_ever(form: str) -> None:
    out = bytearray()
    stream = inflater(form, out.extend, len(ZEROS))
    stream.feed(FORMS[form])
    stream.finish()
    assert bytes(out) == ZEROS


def test_what_is_not_compressed_has_no_limit() -> None:
    out = bytearray()
    stream = inflater("", out.extend, 1)
    stream.feed(b"four")
    assert bytes(out) == b"four"


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_thousands_of_members_are_one_stream(step: int) -> None:
    data = b"".join(gzip.compress(b"%d," % number, 1) for number in range(700))
    out = bytearray()
    stream = inflater("gzip", out.extend)
    for at in range(0, len(data), step):
        stream.feed(data[at : at + step])
    stream.finish()
    assert bytes(out) == b"".join(b"%d," % number for number in range(700))


def test_padding_between_members_is_passed_over_and_a_cut_one_is_not() -> None:
    one = gzip.compress(b"one")
    out = bytearray()
    stream = inflater("gzip", out.extend)
    stream.feed(one + bytes(40_000) + one + bytes(3))
    stream.finish()
    assert bytes(out) == b"oneone"
    stream = inflater("gzip", out.extend)
    stream.feed(one + bytes(40_000) + one[:-4])
    with pytest.raises(Corrupt, match="ends in the middle"):
        stream.finish()


def test_the_pieces_of_a_dense_stream_stay_small() -> None:
    sizes: list[int] = []
    write: Write = lambda piece: sizes.append(len(piece))  # noqa: E731
    stream = inflater("zstd", write)
    stream.feed(zstandard.ZstdCompressor().compress(bytes(80 * PIECE)))
    stream.finish()
    assert max(sizes) <= PIECE
    assert sum(sizes) == 80 * PIECE
