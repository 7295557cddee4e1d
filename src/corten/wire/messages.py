"""Requests and responses as values: what client, server and tests of the protocol share.

A :class:`Request` names a target on the registry by path, or a whole URL where
the registry sent us elsewhere (a token service, an upload location).  Nothing
here opens a connection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol
from urllib.parse import quote, urljoin, urlsplit

import msgspec

from corten.errors import Invalid

Fields = tuple[tuple[str, str], ...]

DOCUMENT_LIMIT = 4 * 1024 * 1024
"""Bytes of a response body that is read whole; a longer one is an error."""

_FIELD_LIMIT = 16 * 1024


class Body(Protocol):
    """A request body that is made while it is sent.  It can be sent once."""

    @property
    def length(self) -> int | None:
        """Bytes to come; None where that is not known beforehand."""

    def __iter__(self) -> Iterator[bytes]: ...


class Stream(Protocol):
    """A response body that is read while it arrives."""

    def read(self, size: int = -1, /) -> bytes: ...
    def close(self) -> None: ...


class Headers(Mapping[str, str]):
    """Header fields; names are compared without case, repeated ones are joined by a comma."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Fields | Mapping[str, str] = ()) -> None:
        self._fields: dict[str, str] = {}
        pairs = fields.items() if isinstance(fields, Mapping) else fields
        for name, value in pairs:
            key = name.lower()
            before = self._fields.get(key)
            self._fields[key] = value if before is None else f"{before}, {value}"

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._fields

    def __repr__(self) -> str:
        return f"Headers({self._fields!r})"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request of the protocol.

    ``target`` is a path (``/v2/…``) on the registry, or an absolute URL.
    ``stream`` asks for a response whose successful body stays open to be read.
    ``patience`` is how many seconds the answer may take; 0 means the driver's own limit.
    """

    method: str
    target: str
    query: Fields = ()
    headers: Fields = ()
    body: bytes | Body = b""
    stream: bool = False
    patience: float = 0

    @property
    def own(self) -> bool:
        """Whether it goes to the registry itself, and so may carry the credential for it."""
        return self.target.startswith("/")

    @property
    def repeatable(self) -> bool:
        """Whether it can be sent a second time."""
        return isinstance(self.body, bytes)

    def url(self, origin: str) -> str:
        """The absolute URL; `origin` is the registry's ``scheme://host[:port]``."""
        base = origin + self.target if self.own else self.target
        if not self.query:
            return base
        query = "&".join(f"{quote(k, safe='')}={quote(v, safe=':/')}" for k, v in self.query)
        return f"{base}{'&' if '?' in base else '?'}{query}"

    def with_headers(self, *fields: tuple[str, str]) -> Request:
        """The same request with more header fields."""
        return msgspec.structs.replace(self, headers=(*self.headers, *fields))


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """One answer.

    ``origin`` is the registry's own ``scheme://host[:port]``; ``url`` is what
    answered in the end, after redirects.  ``stream`` is set, and ``body`` empty,
    where the request asked for a stream and was successful.
    """

    status: int
    headers: Headers
    body: bytes = b""
    stream: Stream | None = None
    origin: str = ""
    url: str = ""

    @property
    def ok(self) -> bool:
        """Whether the status is one of success."""
        return 200 <= self.status < 300

    def location(self) -> str:
        """Where ``Location`` points, as a target: a path if it is on the registry itself.

        A location that names the registry's host with ``http`` where the registry
        is spoken to by ``https`` is taken as ``https`` (registries behind a proxy
        that ends TLS send such).

        Raises: Invalid: no Location, or one that is no HTTP URL.
        """
        text = self.headers.get("Location", "")
        return resolve_target(self.url or self.origin, self.origin, text)


def resolve_target(base: str, origin: str, text: str) -> str:
    """`text`, a URL or a reference relative to `base`, as a request target.

    Raises: Invalid: it is empty, too long, has control characters, or is no HTTP URL.
    """
    if not text or len(text) > _FIELD_LIMIT or any(not 0x20 < ord(c) < 0x7F for c in text):
        raise Invalid(f"{origin or base} answered with an unusable Location {text[:80]!r}")
    try:
        url = urljoin(base, text)
        parts = urlsplit(url)
        own = urlsplit(origin)
        hostname = parts.hostname
    except ValueError as error:
        raise Invalid(f"{origin} answered with a malformed Location {text[:80]!r}") from error
    if parts.scheme not in ("http", "https") or not hostname or "@" in parts.netloc:
        raise Invalid(f"{origin} answered with an unusable Location {text[:80]!r}")
    if parts.netloc.lower() == own.netloc.lower() and parts.scheme in ("http", own.scheme):
        path = parts.path or "/"
        return f"{path}?{parts.query}" if parts.query else path
    return url
