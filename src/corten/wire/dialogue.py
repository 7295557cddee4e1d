"""Dialogues: operations of a client as generators of requests, without I/O.

A ``Dialogue[T]`` yields requests, is sent the responses, and returns a T.  Who
drives it decides how bytes move: the transport of ``corten.remote`` with a
connection pool, a test with a list.  Authentication is one dialogue around
another and so written once.

Spec: Docker's token.md, oauth.md and scope.md; RFC 7617 (Basic).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Generator
from typing import TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec

from corten.errors import Denied, Invalid, Unavailable
from corten.wire.challenge import Challenge, Scope, merge_scopes, parse_challenges, parse_scopes
from corten.wire.codes import decode
from corten.wire.messages import Request, Response

T = TypeVar("T")
Dialogue = Generator[Request, Response, T]

CLIENT_ID = "corten"
_DEFAULT_LIFETIME = 60.0
_MARGIN = 10.0
_SENDABLE = re.compile(r"[\x21-\x7e]+", re.ASCII)


class Credentials(msgspec.Struct, frozen=True):
    """What a user is known by at one registry: name and password, or a refresh token."""

    username: str = ""
    password: str = ""
    refresh_token: str = ""

    def __repr__(self) -> str:
        return f"Credentials({self.username!r}, …)"

    @property
    def basic(self) -> str:
        """The value of an ``Authorization`` field of the Basic scheme."""
        pair = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode("ascii")


class _Token(msgspec.Struct, frozen=True):
    text: str
    expires: float


class _Answer(msgspec.Struct):
    token: str = ""
    access_token: str = ""
    expires_in: float = _DEFAULT_LIFETIME


class Session:
    """What a client remembers of one registry: the credential, the way in, tokens.

    Shared by all dialogues with that registry, from several threads: its parts
    are replaced whole, and the worst that a race does is a second token.

    `clock` gives seconds that only grow.
    """

    def __init__(self, credentials: Credentials | None, clock: Callable[[], float]) -> None:
        self.credentials = credentials
        self._clock = clock
        self._bearer: Challenge | None = None
        self._basic = False
        self._tokens: dict[tuple[str, str, tuple[Scope, ...]], _Token] = {}

    def authorized(self, dialogue: Dialogue[T], *scopes: Scope) -> Dialogue[T]:
        """`dialogue` with every request to the registry itself authorized.

        `scopes` is what the operation needs, so that one token serves all of it.
        A request is asked again once after a 401.  An answer of 401 that remains
        reaches the dialogue.

        Raises: Unavailable: a body that can be sent only once was refused for an
        expired token; another try gets a new one.
        """
        wanted = merge_scopes(scopes)
        try:
            request = next(dialogue)
            while True:
                response = yield from self._ask(request, wanted)
                request = dialogue.send(response)
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            dialogue.close()

    def _ask(self, request: Request, scopes: tuple[Scope, ...]) -> Dialogue[Response]:
        if not request.own:
            return (yield request)
        value = yield from self._known(scopes)
        response = yield (request.with_headers(("Authorization", value)) if value else request)
        if response.status != 401 or _foreign(response):
            return response
        again = yield from self._unlock(response, scopes)
        if not again or again == value:
            return response
        if not request.repeatable:
            raise Unavailable(
                f"{response.origin.partition('://')[2]} asked for a new token amid a transfer"
            )
        return (yield request.with_headers(("Authorization", again)))

    def _known(self, scopes: tuple[Scope, ...]) -> Dialogue[str]:
        """The ``Authorization`` to begin with: from what earlier answers taught, else none."""
        if self._bearer is not None:
            key = (*_service(self._bearer), scopes)
            token = self._tokens.get(key)
            if token is None or token.expires <= self._clock():
                token = yield from self._fetch(self._bearer, scopes, "")
            return f"Bearer {token.text}"
        if self._basic and self.credentials is not None:
            return self.credentials.basic
        return ""

    def _unlock(self, response: Response, scopes: tuple[Scope, ...]) -> Dialogue[str]:
        challenges = parse_challenges(response.headers.get("WWW-Authenticate", ""))
        for challenge in challenges:
            if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
                asked = parse_scopes(challenge.parameters.get("scope", ""))
                self._bearer = challenge
                token = yield from self._fetch(
                    challenge, merge_scopes((*scopes, *asked)), response.origin
                )
                # Kept for what the operation says it needs, so that the next request finds it.
                self._tokens[*_service(challenge), scopes] = token
                return f"Bearer {token.text}"
        if any(c.scheme == "basic" for c in challenges) and self._usable():
            self._basic = True
            assert self.credentials is not None
            return self.credentials.basic
        return ""

    def _usable(self) -> bool:
        return self.credentials is not None and bool(self.credentials.username)

    def _fetch(
        self, challenge: Challenge, scopes: tuple[Scope, ...], origin: str
    ) -> Dialogue[_Token]:
        """A new token.  Raises: Denied: the service refuses, or must not be trusted with it."""
        realm, service = _service(challenge)
        _check_realm(realm, origin)
        begun = self._clock()
        request = self._token_request(realm, service, scopes)
        response = yield request
        if request.method == "POST" and response.status in (404, 405) and self._usable():
            response = yield self._token_by_get(realm, service, scopes)
        if not response.ok:
            raise decode(response, f"token from {urlsplit(realm).netloc}")
        token = _parse_token(response, begun, realm)
        self._tokens[realm, service, scopes] = token
        return token

    def _token_request(self, realm: str, service: str, scopes: tuple[Scope, ...]) -> Request:
        if self.credentials is None or not self.credentials.refresh_token:
            return self._token_by_get(realm, service, scopes)
        form = [
            ("grant_type", "refresh_token"),
            ("service", service),
            ("client_id", CLIENT_ID),
            ("scope", " ".join(map(str, scopes))),
            ("refresh_token", self.credentials.refresh_token),
        ]
        return Request(
            method="POST",
            target=realm,
            headers=(("Content-Type", "application/x-www-form-urlencoded"),),
            body=urlencode(form).encode("ascii"),
        )

    def _token_by_get(self, realm: str, service: str, scopes: tuple[Scope, ...]) -> Request:
        query = [("service", service)] if service else []
        query += [("scope", str(scope)) for scope in scopes]
        headers: tuple[tuple[str, str], ...] = ()
        if self._usable():
            assert self.credentials is not None
            query.append(("account", self.credentials.username))
            headers = (("Authorization", self.credentials.basic),)
        return Request(method="GET", target=realm, query=tuple(query), headers=headers)


def _foreign(response: Response) -> bool:
    """Whether another host answered, after a redirect: it has no say in where passwords go."""
    if not response.url:
        return False
    return urlsplit(response.url).netloc.lower() != urlsplit(response.origin).netloc.lower()


def _service(challenge: Challenge) -> tuple[str, str]:
    return challenge.parameters.get("realm", ""), challenge.parameters.get("service", "")


def _check_realm(realm: str, origin: str) -> None:
    """A token service gets the user's password: it must not be reached in the clear."""
    try:
        parts = urlsplit(realm)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        valid = False
    if not valid or "@" in parts.netloc or not _SENDABLE.fullmatch(realm):
        raise Invalid(f"{origin}: unusable token service {realm[:100]!r}")
    if origin.startswith("https:") and parts.scheme != "https":
        raise Denied(
            f"{origin} sends us to the token service {realm[:100]} in the clear",
            hint="a registry with https must use a token service with https",
        )


def _parse_token(response: Response, begun: float, realm: str) -> _Token:
    try:
        answer = msgspec.json.decode(response.body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"{urlsplit(realm).netloc}: malformed answer to a token request") from error
    text = answer.token or answer.access_token
    if not _SENDABLE.fullmatch(text):
        raise Invalid(f"{urlsplit(realm).netloc}: the answer to a token request holds no token")
    lifetime = answer.expires_in if answer.expires_in > 0 else _DEFAULT_LIFETIME
    return _Token(text, begun + lifetime - min(_MARGIN, lifetime / 10))
