"""Addresses."""

import pytest

from corten.errors import Invalid
from corten.wire.hosts import hostname, is_loopback, number, split_address


@pytest.mark.parametrize(
    "address",
    [
        "localhost",
        "localhost:5000",
        "127.0.0.1",
        "127.8.9.1:80",
        "[::1]:5000",
        "::1",
        "a.localhost",
    ],
)
def test_loopback(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "registry.example",
        "localhost.example.com",
        "10.0.0.1:5000",
        "0.0.0.0",
        "[::]:80",
        "128.0.0.1",
        "127.0.0.1.example",
        "notlocalhost",
    ],
)
def test_not_loopback(address: str) -> None:
    assert not is_loopback(address)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("127.0.0.1", ("127.0.0.1", 5000)),
        (":81", ("", 81)),
        ("[::1]:82", ("::1", 82)),
        ("localhost:0", ("localhost", 0)),
        ("", ("", 5000)),
    ],
)
def test_split_address(text: str, expected: tuple[str, int]) -> None:
    assert split_address(text, 5000) == expected


@pytest.mark.parametrize("text", ["a:b", "a:99999", "a/b", "a@b", "[::1", "http://x:1", "a:1?x"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(Invalid):
        split_address(text, 5000)


def test_parts() -> None:
    assert hostname("Registry.Example:5000") == "registry.example"
    assert hostname("[::1") == ""
    assert number("x") is None
    assert str(number("10.0.0.1")) == "10.0.0.1"
