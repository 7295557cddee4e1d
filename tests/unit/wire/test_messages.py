"""Requests, responses, headers, locations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corten.errors import Invalid
from corten.wire.messages import Headers, Request, Response, resolve_target

ORIGIN = "https://registry.example:5000"


def located(text: str, origin: str = ORIGIN, url: str = "") -> str:
    response = Response(
        status=202,
        headers=Headers((("Location", text),)),
        origin=origin,
        url=url or f"{origin}/v2/a/blobs/uploads/",
    )
    return response.location()


def test_headers_are_compared_without_case() -> None:
    headers = Headers((("Content-Type", "a/b"),))
    assert headers["content-type"] == headers["CONTENT-TYPE"] == "a/b"
    assert "Content-type" in headers
    missing: object = 3
    assert missing not in headers
    assert headers.get("missing", "x") == "x"


def test_repeated_header_fields_are_joined() -> None:
    headers = Headers((("Link", "<a>"), ("link", "<b>")))
    assert headers["Link"] == "<a>, <b>"
    assert len(headers) == 1
    assert list(headers) == ["link"]


def test_headers_from_a_mapping() -> None:
    assert dict(Headers({"A": "1"})) == {"a": "1"}


def test_path_targets_are_the_registrys_own() -> None:
    request = Request(method="GET", target="/v2/")
    assert request.own
    assert request.url(ORIGIN) == f"{ORIGIN}/v2/"


def test_absolute_targets_go_elsewhere() -> None:
    request = Request(method="GET", target="https://auth.example/token")
    assert not request.own
    assert request.url(ORIGIN) == "https://auth.example/token"


def test_query_is_quoted_and_joined_to_an_existing_one() -> None:
    query = (("digest", "sha256:ab"), ("from", "a/b"), ("x", "1&2 3"))
    assert Request(method="PUT", target="/u", query=query).url("http://h") == (
        "http://h/u?digest=sha256:ab&from=a/b&x=1%262%203"
    )
    assert Request(method="PUT", target="/u?_state=1", query=(("n", "2"),)).url("http://h") == (
        "http://h/u?_state=1&n=2"
    )


def test_only_bytes_can_be_sent_twice() -> None:
    class Once:
        length = 3

        def __iter__(self):  # type: ignore[no-untyped-def]
            yield b"abc"

    assert Request(method="PUT", target="/", body=b"x").repeatable
    assert not Request(method="PUT", target="/", body=Once()).repeatable


def test_with_headers_adds() -> None:
    request = Request(method="GET", target="/", headers=(("A", "1"),)).with_headers(("B", "2"))
    assert request.headers == (("A", "1"), ("B", "2"))


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("/v2/a/blobs/uploads/1", "/v2/a/blobs/uploads/1"),
        ("1?state=x", "/v2/a/blobs/uploads/1?state=x"),
        (f"{ORIGIN}/v2/u?s=1", "/v2/u?s=1"),
        ("http://registry.example:5000/v2/u", "/v2/u"),
        ("https://REGISTRY.example:5000/v2/u", "/v2/u"),
        ("https://store.example/u?sig=a%2Fb", "https://store.example/u?sig=a%2Fb"),
        ("//store.example/u", "https://store.example/u"),
        ("https://registry.example/u", "https://registry.example/u"),
    ],
)
def test_location_becomes_a_target(text: str, target: str) -> None:
    assert located(text) == target


def test_location_with_https_of_a_plain_registry_is_elsewhere() -> None:
    assert located("https://127.0.0.1:5000/u", "http://127.0.0.1:5000") == (
        "https://127.0.0.1:5000/u"
    )


def test_location_is_relative_to_where_the_answer_came_from() -> None:
    assert located("u/2", url="https://other.example/x/u/1") == "https://other.example/x/u/u/2"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ftp://host/x",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://user:secret@registry.example:5000/u",
        "/v2/a\r\nX-Injected: 1",
        "/v2/a b",
        "/v2/\x00",
        "https://[::1/u",
        "/" + "a" * 20000,
    ],
)
def test_unusable_locations_are_refused(text: str) -> None:
    with pytest.raises(Invalid):
        located(text)


@given(st.text(max_size=60))
def test_any_text_is_a_target_or_invalid(text: str) -> None:
    try:
        target = resolve_target(f"{ORIGIN}/v2/", ORIGIN, text)
    except Invalid:
        return
    assert target.startswith(("/", "http://", "https://"))
    assert all(0x20 < ord(c) < 0x7F for c in target)


def test_ok_is_a_status_of_success() -> None:
    assert Response(status=206, headers=Headers()).ok
    assert not Response(status=304, headers=Headers()).ok
