"""CORTEN_LAYER_LIMIT and CORTEN_MERGE_LIMIT as they are typed."""

from __future__ import annotations

import pytest

from corten.config.limits import LAYER_LIMIT, MERGE_LIMIT, layer_limit, merge_limit
from corten.config.settings import Settings
from corten.errors import Usage


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("", LAYER_LIMIT),
        ("0", 0),
        ("1000", 1000),
        ("64K", 64 << 10),
        ("64m", 64 << 20),
        ("16G", 16 << 30),
        ("16GiB", 16 << 30),
        ("2T", 2 << 40),
        (" 5 ", 5),
    ],
)
def test_sizes(text: str, limit: int) -> None:
    assert layer_limit({"CORTEN_LAYER_LIMIT": text}) == limit
    assert Settings.load({"CORTEN_LAYER_LIMIT": text}, "/tmp/x").layer_limit == limit


@pytest.mark.parametrize("text", ["much", "-1", "1.5G", "16 G", "9" * 40, "1P"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(Usage, match="CORTEN_LAYER_LIMIT"):
        layer_limit({"CORTEN_LAYER_LIMIT": text})


def test_there_is_a_limit_without_a_word() -> None:
    assert layer_limit({}) == LAYER_LIMIT
    assert merge_limit({}) == MERGE_LIMIT


def test_number_of_files() -> None:
    assert merge_limit({"CORTEN_MERGE_LIMIT": " 20 "}) == 20
    assert Settings.load({"CORTEN_MERGE_LIMIT": "0"}, "/tmp/x").merge_limit == 0


@pytest.mark.parametrize("text", ["many", "-1", "1M", "\u0663", "9" * 40])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(Usage, match="CORTEN_MERGE_LIMIT"):
        merge_limit({"CORTEN_MERGE_LIMIT": text})
