"""Options in one value, between commas: what is no row of CSV is refused by every flag."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from corten.builder.given import parse_secret
from corten.dockerfile.given_options import split_options
from corten.dockerfile.mounts import parse_mount
from corten.engine.build_caches import parse_cache_from, parse_cache_to
from corten.engine.outputs.options import parse_output
from corten.errors import Invalid

FLAGS: dict[str, Callable[[str], object]] = {
    "--secret": lambda text: parse_secret(text, {}),
    "--output": parse_output,
    "--cache-from": parse_cache_from,
    "--cache-to": parse_cache_to,
    "--mount": parse_mount,
}


def test_commas_part_unless_quoted() -> None:
    assert split_options('id=a,"src=b,c",x', "--secret") == ["id=a", "src=b,c", "x"]
    assert split_options("", "--secret") == []


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize(
    "text", ["id=a\rb,src=/x", "id=" + "a" * 140_000, '"id=a'], ids=["return", "long", "quote"]
)
def test_what_is_no_row_of_csv_is_invalid(flag: str, text: str) -> None:
    with pytest.raises(Invalid, match=f"^{flag}: "):
        FLAGS[flag](text)
