"""Inflating and deflating in push mode."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from corten.archive.compression import PIECE, deflater, detect, inflater
from corten.errors import Corrupt, Unsupported

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 6, mtime=1),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
}
SAMPLE = os.urandom(300_000) + bytes(3_000_000) + b"text " * 50_000
SKIPPABLE = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"


def inflate(compression: str, data: bytes, step: int = 50_000) -> bytes:
    out: list[bytes] = []
    stream = inflater(compression, out.append)
    for at in range(0, len(data), step):
        stream.feed(data[at : at + step])
    stream.finish()
    assert all(0 < len(piece) <= PIECE for piece in out)
    return b"".join(out)


@pytest.mark.parametrize("name", COMPRESS)
def test_compression_is_known_by_its_first_bytes(name: str) -> None:
    assert detect(COMPRESS[name](b"x")[:6]) == name


def test_what_is_not_compressed_is_not_taken_for_it() -> None:
    assert detect(b"") == detect(b"usr/b") == detect(b"\x1f") == ""
    assert detect(SKIPPABLE) == "zstd"


@pytest.mark.parametrize("name", COMPRESS)
@pytest.mark.parametrize("step", [1000, 50_000, 10_000_000])
def test_what_other_programs_compress_is_inflated(name: str, step: int) -> None:
    assert inflate(name, COMPRESS[name](SAMPLE), step) == SAMPLE


@pytest.mark.parametrize("name", COMPRESS)
def test_single_bytes_may_be_fed(name: str) -> None:
    assert inflate(name, COMPRESS[name](b"hello"), 1) == b"hello"


@pytest.mark.parametrize("name", COMPRESS)
def test_members_may_follow_one_another(name: str) -> None:
    pack = COMPRESS[name]
    assert inflate(name, pack(b"one") + pack(b"") + pack(b"two")) == b"onetwo"


def test_skippable_zstd_frames_are_skipped() -> None:
    pack = COMPRESS["zstd"]
    assert inflate("zstd", SKIPPABLE + pack(b"a") + SKIPPABLE + pack(b"b") + SKIPPABLE) == b"ab"


def test_zeros_after_a_gzip_member_are_padding() -> None:
    assert inflate("gzip", COMPRESS["gzip"](b"x") + bytes(1000), 7) == b"x"


@pytest.mark.parametrize("name", COMPRESS)
def test_truncated_data_is_corrupt(name: str) -> None:
    data = COMPRESS[name](SAMPLE)
    for cut in (0, 1, 5, len(data) // 2, len(data) - 1):
        with pytest.raises(Corrupt, match=name):
            inflate(name, data[:cut])


@pytest.mark.parametrize("name", COMPRESS)
def test_damaged_data_is_corrupt(name: str) -> None:
    data = bytearray(COMPRESS[name](SAMPLE))
    data[len(data) // 2] ^= 0x55
    with pytest.raises(Corrupt, match=f"{name} data"):
        inflate(name, bytes(data))


@pytest.mark.parametrize("name", COMPRESS)
def test_garbage_after_the_end_is_corrupt(name: str) -> None:
    with pytest.raises(Corrupt):
        inflate(name, COMPRESS[name](b"x") + b"garbage that is nothing at all" * 50)


@pytest.mark.parametrize("name", COMPRESS)
def test_failure_of_the_receiver_comes_through(name: str) -> None:
    class Full(Exception):
        pass

    def write(piece: bytes) -> None:
        raise Full

    stream = inflater(name, write)
    with pytest.raises(Full):
        stream.feed(COMPRESS[name](SAMPLE))
        stream.finish()


@pytest.mark.parametrize("name", COMPRESS)
def test_bombs_leave_in_bounded_pieces(name: str) -> None:
    size = 64 * 1024 * 1024
    count = 0
    largest = 0

    def write(piece: bytes) -> None:
        nonlocal count, largest
        count += len(piece)
        largest = max(largest, len(piece))

    stream = inflater(name, write)
    stream.feed(COMPRESS[name](bytes(size)))
    stream.finish()
    assert count == size
    assert largest <= PIECE


def test_zstd_window_beyond_the_limit_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=28, enable_ldm=True)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = stream.compress(os.urandom(100_000)) + stream.flush()
    with pytest.raises(Corrupt, match="zstd"):
        inflate("zstd", data)


def test_xz_dictionary_beyond_the_limit_is_refused() -> None:
    data = bytearray(lzma.compress(b"x", filters=[{"id": lzma.FILTER_LZMA2, "preset": 0}]))
    at = data.index(b"\x21\x01") + 2  # the filter's one property byte: the dictionary's size
    data[at] = 40
    with pytest.raises(Corrupt, match="xz"):
        inflate("xz", bytes(data))


@pytest.mark.parametrize("name", ["gzip", "zstd", ""])
def test_deflated_bytes_are_the_same_each_time_and_inflate_again(name: str) -> None:
    results = []
    for step in (100_000, 100_000):
        out: list[bytes] = []
        stream = deflater(name, out.append)
        for at in range(0, len(SAMPLE), step):
            stream.feed(memoryview(SAMPLE)[at : at + step])
        stream.finish()
        results.append(b"".join(out))
    assert results[0] == results[1]
    assert inflate(name, results[0]) == SAMPLE


def test_gzip_header_has_no_time_and_no_name() -> None:
    out: list[bytes] = []
    stream = deflater("gzip", out.append)
    stream.feed(b"x")
    stream.finish()
    data = b"".join(out)
    assert data[:8] == b"\x1f\x8b\x08\0\0\0\0\0"
    assert gzip.decompress(data) == b"x"


def test_unknown_compressions_are_unsupported() -> None:
    with pytest.raises(Unsupported, match="lz4"):
        inflater("lz4", print)
    with pytest.raises(Unsupported, match="bzip2"):
        deflater("bzip2", print)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(COMPRESS)), st.binary(max_size=300), st.integers(1, 300))
def test_any_bytes_are_inflated_or_corrupt(name: str, data: bytes, step: int) -> None:
    head = COMPRESS[name](b"x" * 50)
    for attempt in (data, head[:20] + data, head + data):
        try:
            inflate(name, attempt, step)
        except Corrupt as error:
            assert name in str(error)
