"""Pages of lists."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corten.errors import Invalid
from corten.wire.codes import Refused
from corten.wire.messages import Headers, Response
from corten.wire.paging import PAGE_LIMIT, Ask, format_next, parse_ask, parse_next

ORIGIN = "http://127.0.0.1:5000"


def answer(link: str) -> Response:
    return Response(
        status=200,
        headers=Headers((("Link", link),) if link else ()),
        origin=ORIGIN,
        url=f"{ORIGIN}/v2/a/tags/list?n=2",
    )


@pytest.mark.parametrize(
    ("query", "ask"),
    [
        ({}, Ask(PAGE_LIMIT, "")),
        ({"n": "5"}, Ask(5, "")),
        ({"n": "0", "last": "x"}, Ask(0, "x")),
        ({"n": "999999999"}, Ask(PAGE_LIMIT, "")),
        ({"last": "b"}, Ask(PAGE_LIMIT, "b")),
    ],
)
def test_what_a_query_asks_for(query: dict[str, str], ask: Ask) -> None:
    assert parse_ask(query) == ask


@pytest.mark.parametrize("text", ["-1", "x", "1.5", "1e3", " 1", "9" * 10, "１"])
def test_a_number_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_ask({"n": text})
    assert caught.value.code == "PAGINATION_NUMBER_INVALID"


@given(st.text(max_size=30), st.integers(1, 10_000))
def test_the_link_leads_where_it_should(last: str, n: int) -> None:
    try:
        link = format_next("/v2/a/tags/list", n, last)
    except UnicodeEncodeError:
        return
    target = parse_next(answer(link))
    assert target.startswith(f"/v2/a/tags/list?n={n}&last=")


def test_further_parameters_of_a_link() -> None:
    link = format_next("/v2/a/referrers/x", 1, "d", artifactType="a/b+c")
    assert parse_next(answer(link)).endswith("&artifactType=a%2Fb%2Bc")


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("", ""),
        ('</v2/_catalog?n=2&last=b>; rel="next"', "/v2/_catalog?n=2&last=b"),
        ("</v2/x?n=1>; rel=next", "/v2/x?n=1"),
        ("<?n=2&last=q>; rel=next", "/v2/a/tags/list?n=2&last=q"),
        (f'<{ORIGIN}/v2/x?last=1>; rel="next"', "/v2/x?last=1"),
        ('</first>; rel="first", </second>; title=x; rel="next"', "/second"),
        ('</prev>; rel="prev"', ""),
        ("garbage", ""),
        ('<http://elsewhere.example/v2/x>; rel="next"', ""),
    ],
)
def test_links(link: str, target: str) -> None:
    assert parse_next(answer(link)) == target


def test_a_link_that_is_no_url_is_refused() -> None:
    with pytest.raises(Invalid):
        parse_next(answer('<ftp://x/y>; rel="next"'))


@given(st.text(max_size=100))
def test_any_link_can_be_read(text: str) -> None:
    with contextlib.suppress(Invalid):
        parse_next(answer(text))
