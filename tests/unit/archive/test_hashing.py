"""Hashing beside other work."""

from __future__ import annotations

import hashlib
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corten.archive.hashing import ThreadedHasher
from corten.errors import Invalid
from corten.oci.digest import Digest


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 400_000), max_size=8), st.sampled_from(["sha256", "sha512"]))
def test_digest_is_that_of_all_pieces_in_order(sizes: list[int], algorithm: str) -> None:
    reference = hashlib.new(algorithm)
    with ThreadedHasher(algorithm) as hasher:
        for number, size in enumerate(sizes):
            piece = bytes([number]) * size
            hasher.update(piece)
            reference.update(piece)
        assert hasher.hexdigest() == reference.hexdigest()
        assert hasher.digest() == Digest(f"{algorithm}:{reference.hexdigest()}")


def test_buffer_may_be_reused_at_once() -> None:
    buffer = bytearray(b"a" * 300_000)
    with ThreadedHasher() as hasher:
        hasher.update(buffer)
        buffer[:] = b"b" * 300_000
        hasher.update(memoryview(buffer))
        expected = hashlib.sha256(b"a" * 300_000 + b"b" * 300_000).hexdigest()
        assert hasher.hexdigest() == expected


def test_thread_ends_with_the_block_even_after_a_failure() -> None:
    before = threading.active_count()
    with pytest.raises(KeyError), ThreadedHasher() as hasher:
        hasher.update(bytes(1_000_000))
        assert threading.active_count() == before + 1
        raise KeyError
    assert threading.active_count() == before


def test_small_amounts_need_no_thread() -> None:
    before = threading.active_count()
    hasher = ThreadedHasher()
    hasher.update(b"small")
    assert threading.active_count() == before
    assert hasher.hexdigest() == hashlib.sha256(b"small").hexdigest()


def test_nothing_can_be_added_after_the_digest() -> None:
    with ThreadedHasher() as hasher:
        hasher.hexdigest()
        with pytest.raises(ValueError, match="already"):
            hasher.update(b"x")


def test_unknown_algorithm_is_invalid() -> None:
    with pytest.raises(Invalid, match="md5"):
        ThreadedHasher("md5")
