"""Gzip written by several threads: one member, the same bytes always."""

from __future__ import annotations

import gzip
import itertools
import random
import struct
import threading
import zlib
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corten.archive.compression import deflater, inflater
from corten.archive.deflating import BLOCK, GzipDeflater


def compress(pieces: Iterable[bytes | memoryview], threads: int = 0, level: int = 2) -> bytes:
    out: list[bytes] = []
    stream = GzipDeflater(out.append, level, threads)
    for piece in pieces:
        stream.feed(piece)
    stream.finish()
    return b"".join(out)


def text(size: int, seed: int = 1) -> bytes:
    """Bytes that compress about as files do."""
    noise = random.Random(seed)
    words = [noise.randbytes(noise.randrange(2, 12)) for _ in range(500)]
    out = bytearray()
    while len(out) < size:
        out += b" ".join(noise.choices(words, k=1000))
    return bytes(out[:size])


def deflate_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("corten-deflate")]


@pytest.mark.parametrize(
    "size", [0, 1, 5000, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 4 * BLOCK + 9]
)
@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_any_reader_gets_the_bytes_back_and_it_is_one_member(size: int, level: int) -> None:
    data = text(size)
    packed = compress([data], level=level)
    assert gzip.decompress(packed) == data
    one = zlib.decompressobj(wbits=31)
    assert one.decompress(packed) == data
    assert one.eof
    assert one.unused_data == b""
    ours: list[bytes] = []
    reader = inflater("gzip", ours.append)
    reader.feed(packed)
    reader.finish()
    assert b"".join(ours) == data


def test_the_number_of_threads_does_not_change_the_bytes() -> None:
    data = text(6 * BLOCK + 12345)
    assert len({compress([data], threads) for threads in (0, 1, 2, 3, 16)}) == 1


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 2 * BLOCK), max_size=8), st.integers(1, 4))
def test_the_pieces_it_comes_in_do_not_change_the_bytes(cuts: list[int], threads: int) -> None:
    data = text(2 * BLOCK + 777)
    places = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    pieces = [data[a:b] for a, b in itertools.pairwise(places)]
    assert compress(pieces, threads) == compress([data], 1)


def test_the_header_has_no_time_and_no_name() -> None:
    packed = compress([b"x"])
    magic, method, flags, time = struct.unpack_from("<HBBI", packed)
    assert (magic, method, flags, time) == (0x8B1F, 8, 0, 0)


def test_the_trailer_has_checksum_and_size() -> None:
    data = text(2 * BLOCK + 5)
    assert struct.unpack("<II", compress([data])[-8:]) == (zlib.crc32(data), len(data))


def test_a_block_refers_to_what_stands_before_it() -> None:
    noise = random.Random(3).randbytes(16 * 1024)
    far = random.Random(4).randbytes(BLOCK - len(noise))
    packed = compress([far, noise, noise])
    assert len(packed) < BLOCK + 8 * 1024


def test_pieces_may_be_views_of_a_buffer_that_is_used_again() -> None:
    data = text(3 * BLOCK)
    buffer = bytearray(BLOCK)

    def reused() -> Iterable[memoryview]:
        for at in range(0, len(data), BLOCK):
            buffer[:] = data[at : at + BLOCK]
            yield memoryview(buffer)

    assert gzip.decompress(compress(reused(), 2)) == data


def test_output_leaves_while_input_comes() -> None:
    out: list[bytes] = []
    stream = GzipDeflater(out.append, 1, threads=2)
    noise = random.Random(5).randbytes(BLOCK)
    for _ in range(20):
        stream.feed(noise)
    assert sum(map(len, out)) > 10 * BLOCK
    stream.finish()


def test_what_writing_raises_comes_out_and_no_thread_stays() -> None:
    class Full(Exception):
        pass

    taken: list[bytes] = []

    def write(data: bytes) -> None:
        if taken:
            raise Full
        taken.append(data)

    stream = GzipDeflater(write, 1, threads=2)
    with pytest.raises(Full):
        for _ in range(10):
            stream.feed(bytes(BLOCK))
        stream.finish()
    with pytest.raises(Full):
        stream.finish()
    assert deflate_threads() == []


def test_no_thread_stays_after_the_end_and_none_begins_for_little() -> None:
    compress([text(5 * BLOCK)], 3)
    assert deflate_threads() == []
    stream = GzipDeflater(lambda _: None, 1, threads=3)
    stream.feed(b"little")
    assert deflate_threads() == []
    stream.finish()


def test_the_deflater_of_images_is_this_one() -> None:
    out: list[bytes] = []
    stream = deflater("gzip", out.append)
    stream.feed(text(BLOCK + 1))
    stream.finish()
    assert b"".join(out) == compress([text(BLOCK + 1)])


def test_no_thread_stays_when_writing_fails() -> None:
    written = 0

    def full(data: bytes) -> None:
        nonlocal written
        written += len(data)
        if written > 1000:
            raise OSError(28, "no space left")

    stream = GzipDeflater(full, 2, 2)
    with pytest.raises(OSError, match="no space"):
        for _ in range(20):
            stream.feed(text(BLOCK))
    assert deflate_threads() == []
