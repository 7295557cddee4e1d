"""Chain ids."""

from __future__ import annotations

import hashlib

import pytest

from corten.oci.chain import chain_id
from corten.oci.digest import Digest

A, B, C = (Digest(f"sha256:{letter * 64}") for letter in "abc")


def test_chain_of_one_layer_is_its_diff_id() -> None:
    assert chain_id([A]) == A


def test_chain_goes_on_from_the_chain_below() -> None:
    ab = f"sha256:{hashlib.sha256(f'{A} {B}'.encode()).hexdigest()}"
    assert chain_id([A, B]) == ab
    assert chain_id([A, B, C]) == f"sha256:{hashlib.sha256(f'{ab} {C}'.encode()).hexdigest()}"
    assert chain_id([B, A]) != ab


def test_nothing_has_no_chain() -> None:
    with pytest.raises(ValueError, match="no chain id"):
        chain_id([])
