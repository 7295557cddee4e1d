"""Platforms: parsing, the names of kernels and distributions, matching."""

import pytest

from corten.errors import Invalid
from corten.oci.platform import Platform, normalized


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm/v7", "linux/arm/v7"),
        ("linux/armhf", "linux/arm/v7"),
        ("armel", "linux/arm/v6"),
        ("Linux/AMD64", "linux/amd64"),
        ("i686", "linux/386"),
        ("windows/amd64", "windows/amd64"),
    ],
)
def test_names_are_normalised(text: str, written: str) -> None:
    assert str(Platform.parse(text)) == written


@pytest.mark.parametrize("text", ["", "/", "linux/", "a/b/c/d", "linux/a m", "linux//v7"])
def test_malformed_platforms_are_refused(text: str) -> None:
    with pytest.raises(Invalid, match="platform"):
        Platform.parse(text)


@pytest.mark.parametrize(
    ("image", "wanted", "fits"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm/v6", "linux/arm/v7", False),
        ("linux/arm", "linux/arm/v7", True),
        ("linux/amd64", "linux/arm64", False),
        ("windows/amd64", "linux/amd64", False),
    ],
)
def test_matching(image: str, wanted: str, fits: bool) -> None:
    assert Platform.parse(image).matches(Platform.parse(wanted)) is fits


def test_variants_that_say_nothing_are_dropped() -> None:
    assert normalized("linux", "amd64", "v1") == Platform("amd64", "linux")
