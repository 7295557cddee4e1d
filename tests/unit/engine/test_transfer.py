"""What a push says of a name that nobody takes."""

from __future__ import annotations

import pytest

from corten.engine.lookup import lies_on_docker_hub
from corten.engine.transfer import short_name_explained
from corten.errors import Denied, NotFound, Unavailable
from corten.oci.reference import Reference


@pytest.mark.parametrize("family", [Denied, Unavailable])
def test_a_short_name_that_docker_hub_does_not_take_is_explained(
    family: type[Denied] | type[Unavailable],
) -> None:
    with pytest.raises(family) as caught, short_name_explained("app:1", Reference.parse("app:1")):
        raise family("no", hint="check the name server")
    assert caught.value.hint == (
        "app:1 means docker.io/library/app:1; for another registry:"
        " corten tag app:1 HOST/app:1, and push that"
    )


@pytest.mark.parametrize("text", ["docker.io/me/app", "127.0.0.1:5000/app"])
def test_a_name_with_its_registry_is_left_alone(text: str) -> None:
    with pytest.raises(Denied) as caught, short_name_explained(text, Reference.parse(text)):
        raise Denied("no", hint="log in")
    assert caught.value.hint == "log in"
    with pytest.raises(NotFound), short_name_explained("app", Reference.parse("app")):
        raise NotFound("no such image")


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("app", True), ("me/app:1", True), ("docker.io/me/app", False), ("ghcr.io/me/app", False),
        ("localhost/app", False), ("a" * 64, False), ("NoName", False),
    ],
)  # fmt: skip
def test_a_name_without_a_registry_lies_on_docker_hub(text: str, short: bool) -> None:
    assert lies_on_docker_hub(text) is short
