"""Lists in pages: ``n``, ``last`` and the ``Link`` field.

Spec: OCI distribution, "Listing Tags"; Docker's api.md, "Pagination"; RFC 8288.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from corten.wire.codes import refusal
from corten.wire.messages import Response, resolve_target

PAGE_LIMIT = 10_000
"""Names in one answer at most, whatever was asked for."""

_LINK = re.compile(r"\s*<([^>]{1,8192})>((?:\s*;\s*[^,;]+)*)\s*(?:,|$)", re.ASCII)
_REL = re.compile(r""";\s*rel\s*=\s*"?([^";]*)"?""", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)


class Ask(NamedTuple):
    """What page is wanted: at most ``n`` names after ``last``."""

    n: int
    last: str


def parse_ask(query: Mapping[str, str]) -> Ask:
    """The page that a query asks for.

    Raises: Invalid (PAGINATION_NUMBER_INVALID): ``n`` is not a number of 0 or more.
    """
    text = query.get("n", "")
    if text and not _NUMBER.fullmatch(text):
        raise refusal("PAGINATION_NUMBER_INVALID", f"n is {text[:40]!r}, not a number")
    n = min(int(text), PAGE_LIMIT) if text else PAGE_LIMIT
    return Ask(n, query.get("last", ""))


def format_next(path: str, n: int, last: str, **further: str) -> str:
    """The ``Link`` field that leads to the page after `last`."""
    query = "".join(f"&{key}={quote(value, safe='')}" for key, value in further.items())
    return f'<{path}?n={n}&last={quote(last, safe="")}{query}>; rel="next"'


def parse_next(response: Response) -> str:
    """The target of the next page; empty: there is none.

    A link to another host is not followed: it would be asked with our credential.
    Raises: Invalid: a Link that is no URL.
    """
    text = response.headers.get("Link", "")
    position = 0
    while (found := _LINK.match(text, position)) is not None:
        relation = _REL.search(found[2])
        if relation is not None and "next" in relation[1].lower().split():
            target = resolve_target(response.url or response.origin, response.origin, found[1])
            return target if target.startswith("/") else ""
        position = found.end()
    return ""
