"""Digests: the grammar of descriptor.md, "Digests", and what corten can compute."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corten.errors import Invalid
from corten.oci.digest import Digest, new_hasher

HEX64 = "6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b"


@pytest.mark.parametrize(
    "text",
    [
        f"sha256:{HEX64}",
        f"sha512:{HEX64}{HEX64}",
        "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8",
        "sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564",
        f"blake3:{HEX64}",
    ],
)
def test_digests_of_the_grammar_are_taken(text: str) -> None:
    assert Digest(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        "sha256:",
        f"sha256:{HEX64[:-1]}",
        f"sha256:{HEX64.upper()}",
        f"sha256:{HEX64}\n",
        f" sha256:{HEX64}",
        f"SHA256:{HEX64}",
        f"sha256:../{HEX64[3:]}",
        f"sha256:{HEX64}/x",
        "sha-:abc",
        "x:" + "a" * 600,
        "sha256:" + "٠" * 64,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="invalid digest"):
        Digest(text)


@given(st.binary(max_size=200), st.sampled_from(["sha256", "sha384", "sha512"]))
def test_a_digest_is_the_hash_of_the_bytes(data: bytes, algorithm: str) -> None:
    digest = Digest.of(data, algorithm)
    assert digest == f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
    assert digest.algorithm == algorithm
    assert digest.computable
    assert Digest(str(digest)) is not None


def test_parts_and_short_form() -> None:
    digest = Digest(f"sha256:{HEX64}")
    assert (digest.algorithm, digest.encoded, digest.short) == ("sha256", HEX64, HEX64[:12])


def test_unregistered_algorithms_cannot_be_computed() -> None:
    assert not Digest(f"blake3:{HEX64}").computable
    with pytest.raises(Invalid, match="blake3"):
        new_hasher("blake3")
