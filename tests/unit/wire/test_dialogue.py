"""Authentication as a dialogue around another: no sockets, only answers in a list."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from urllib.parse import parse_qs

import msgspec
import pytest

from corten.errors import Denied, Invalid, Unavailable
from corten.wire.challenge import parse_scopes, repository_scope
from corten.wire.dialogue import Credentials, Dialogue, Session
from corten.wire.messages import Headers, Request, Response

ORIGIN = "https://registry.example"
REALM = "https://auth.example/token"
PULL = repository_scope("a/b", "pull")
BEARER = f'Bearer realm="{REALM}",service="registry.example",scope="repository:a/b:pull"'
USER = Credentials("user", "secret")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def answer(status: int, body: object = None, **fields: str) -> Response:
    headers = tuple((name.replace("_", "-"), value) for name, value in fields.items())
    raw = json.dumps(body).encode() if body is not None else b""
    return Response(status=status, headers=Headers(headers), body=raw, origin=ORIGIN)


def once(target: str = "/v2/a/b/x", body: bytes = b"") -> Dialogue[Response]:
    return (yield Request(method="GET", target=target, body=body))


def play(dialogue: Dialogue[Response], *answers: Response) -> tuple[Response, list[Request]]:
    """Drive a dialogue by a list of answers; its result and all that it asked."""
    asked: list[Request] = []
    rest = iter(answers)
    try:
        request = next(dialogue)
        while True:
            asked.append(request)
            request = dialogue.send(next(rest))
    except StopIteration as stop:
        assert next(rest, None) is None, "not all answers were asked for"
        return stop.value, asked


def header(request: Request, name: str) -> str | None:
    return Headers(request.headers).get(name)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_without_a_challenge_nothing_is_added(clock: Clock) -> None:
    session = Session(USER, clock)
    response, (asked,) = play(session.authorized(once()), answer(200))
    assert response.status == 200
    assert header(asked, "Authorization") is None


def test_a_bearer_challenge_is_answered_with_a_token(clock: Clock) -> None:
    session = Session(None, clock)
    response, asked = play(
        session.authorized(once(), PULL),
        answer(401, WWW_Authenticate=BEARER),
        answer(200, {"token": "abc"}),
        answer(200),
    )
    assert response.status == 200
    token = asked[1]
    assert (token.method, token.target) == ("GET", REALM)
    assert token.query == (("service", "registry.example"), ("scope", "repository:a/b:pull"))
    assert header(token, "Authorization") is None
    assert header(asked[2], "Authorization") == "Bearer abc"


def test_a_password_goes_to_the_token_service_and_not_to_the_registry(clock: Clock) -> None:
    session = Session(USER, clock)
    _, asked = play(
        session.authorized(once(), PULL),
        answer(401, WWW_Authenticate=BEARER),
        answer(200, {"access_token": "abc"}),
        answer(200),
    )
    basic = base64.b64encode(b"user:secret").decode()
    assert header(asked[1], "Authorization") == f"Basic {basic}"
    assert ("account", "user") in asked[1].query
    assert header(asked[2], "Authorization") == "Bearer abc"


def test_a_refresh_token_is_posted(clock: Clock) -> None:
    session = Session(Credentials(refresh_token="r/e+f"), clock)
    _, asked = play(
        session.authorized(once(), PULL, repository_scope("c", "pull")),
        answer(401, WWW_Authenticate=BEARER),
        answer(200, {"access_token": "abc", "scope": "x", "expires_in": 300}),
        answer(200),
    )
    post = asked[1]
    assert (post.method, post.target) == ("POST", REALM)
    assert isinstance(post.body, bytes)
    assert parse_qs(post.body.decode()) == {
        "grant_type": ["refresh_token"],
        "service": ["registry.example"],
        "client_id": ["corten"],
        "scope": ["repository:a/b:pull repository:c:pull"],
        "refresh_token": ["r/e+f"],
    }


@pytest.mark.parametrize("status", [404, 405])
def test_a_service_that_takes_no_post_is_asked_by_get(clock: Clock, status: int) -> None:
    session = Session(Credentials("user", "secret", "refresh"), clock)
    _, asked = play(
        session.authorized(once(), PULL),
        answer(401, WWW_Authenticate=BEARER),
        answer(status),
        answer(200, {"token": "abc"}),
        answer(200),
    )
    assert [request.method for request in asked] == ["GET", "POST", "GET", "GET"]


def test_a_token_is_kept_until_it_expires(clock: Clock) -> None:
    session = Session(None, clock)
    play(
        session.authorized(once(), PULL),
        answer(401, WWW_Authenticate=BEARER),
        answer(200, {"token": "one", "expires_in": 100}),
        answer(200),
    )
    clock.now += 80
    _, (asked,) = play(session.authorized(once(), PULL), answer(200))
    assert header(asked, "Authorization") == "Bearer one"
    clock.now += 15
    _, asked_later = play(
        session.authorized(once(), PULL), answer(200, {"token": "two"}), answer(200)
    )
    assert asked_later[0].target == REALM
    assert header(asked_later[1], "Authorization") == "Bearer two"


def test_a_lifetime_that_is_not_told_is_60_seconds(clock: Clock) -> None:
    session = Session(None, clock)
    play(
        session.authorized(once(), PULL),
        answer(401, WWW_Authenticate=BEARER),
        answer(200, {"token": "one", "expires_in": 0}),
        answer(200),
    )
    clock.now += 50
    play(session.authorized(once(), PULL), answer(200))
    clock.now += 11
    play(session.authorized(once(), PULL), answer(200, {"token": "two"}), answer(200))


def test_other_scopes_need_another_token(clock: Clock) -> None:
    session = Session(None, clock)
    play(
        session.authorized(once(), PULL),
        answer(401, WWW_Authenticate=BEARER),
        answer(200, {"token": "one"}),
        answer(200),
    )
    push = repository_scope("a/b", "pull", "push")
    _, asked = play(session.authorized(once(), push), answer(200, {"token": "two"}), answer(200))
    assert ("scope", "repository:a/b:pull,push") in asked[0].query


def test_the_scope_that_the_registry_asks_for_is_added(clock: Clock) -> None:
    session = Session(None, clock)
    challenge = BEARER.replace(":pull", ":delete")
    _, asked = play(
        session.authorized(once(), PULL),
        answer(401, WWW_Authenticate=challenge),
        answer(200, {"token": "one"}),
        answer(200),
    )
    assert ("scope", "repository:a/b:delete,pull") in asked[1].query
    assert parse_scopes("repository:a/b:delete,pull")


def test_a_token_that_was_revoked_is_replaced(clock: Clock) -> None:
    session = Session(None, clock)
    play(
        session.authorized(once(), PULL),
        answer(401, WWW_Authenticate=BEARER),
        answer(200, {"token": "one"}),
        answer(200),
    )
    response, asked = play(
        session.authorized(once(), PULL),
        answer(401, WWW_Authenticate=BEARER),
        answer(200, {"token": "two"}),
        answer(200),
    )
    assert response.status == 200
    assert header(asked[2], "Authorization") == "Bearer two"
    _, (later,) = play(session.authorized(once(), PULL), answer(200))
    assert header(later, "Authorization") == "Bearer two"


def test_a_401_that_remains_reaches_the_operation(clock: Clock) -> None:
    session = Session(USER, clock)
    response, asked = play(
        session.authorized(once()),
        answer(401, WWW_Authenticate='Basic realm="x"'),
        answer(401, WWW_Authenticate='Basic realm="x"'),
    )
    assert response.status == 401
    assert len(asked) == 2


def test_basic_is_used_from_the_beginning_once_it_was_asked_for(clock: Clock) -> None:
    session = Session(USER, clock)
    play(session.authorized(once()), answer(401, WWW_Authenticate='Basic realm="x"'), answer(200))
    _, (asked,) = play(session.authorized(once()), answer(200))
    assert header(asked, "Authorization") == USER.basic


@pytest.mark.parametrize("credentials", [None, Credentials(refresh_token="r")])
def test_basic_without_a_password_is_not_tried(
    clock: Clock, credentials: Credentials | None
) -> None:
    session = Session(credentials, clock)
    response, asked = play(
        session.authorized(once()), answer(401, WWW_Authenticate='Basic realm="x"')
    )
    assert (response.status, len(asked)) == (401, 1)


@pytest.mark.parametrize("field", ["", "Negotiate", "Bearer service=x", "??"])
def test_challenges_that_cannot_be_met_are_not_tried(clock: Clock, field: str) -> None:
    session = Session(USER, clock)
    response, _ = play(session.authorized(once()), answer(401, WWW_Authenticate=field))
    assert response.status == 401


@pytest.mark.parametrize("scheme", [BEARER.replace("auth.", "evil."), 'Basic realm="x"'])
def test_a_challenge_of_a_host_that_we_were_redirected_to_is_not_answered(
    clock: Clock, scheme: str
) -> None:
    session = Session(USER, clock)
    elsewhere = msgspec.structs.replace(
        answer(401, WWW_Authenticate=scheme), url="https://cdn.example/v2/a/b/x"
    )
    response, asked = play(session.authorized(once(), PULL), elsewhere)
    assert response.status == 401
    assert len(asked) == 1
    # Nor is anything remembered of it.
    _, (again,) = play(session.authorized(once(), PULL), answer(200))
    assert header(again, "Authorization") is None


def test_requests_to_other_hosts_carry_no_credential(clock: Clock) -> None:
    session = Session(USER, clock)
    play(session.authorized(once()), answer(401, WWW_Authenticate='Basic realm="x"'), answer(200))
    elsewhere = once("https://store.example/x")
    response, (asked,) = play(session.authorized(elsewhere), answer(401, WWW_Authenticate=BEARER))
    assert response.status == 401
    assert asked.headers == ()


class Stream:
    length = 3

    def __iter__(self) -> Iterator[bytes]:
        yield b"abc"


def test_a_body_that_is_spent_is_not_sent_again_but_the_next_try_has_a_token(clock: Clock) -> None:
    def upload() -> Dialogue[Response]:
        return (yield Request(method="PATCH", target="/u", body=Stream()))

    session = Session(None, clock)
    with pytest.raises(Unavailable):
        play(
            session.authorized(upload(), PULL),
            answer(401, WWW_Authenticate=BEARER),
            answer(200, {"token": "one"}),
        )
    _, (asked,) = play(session.authorized(upload(), PULL), answer(202))
    assert header(asked, "Authorization") == "Bearer one"


def test_a_token_service_that_refuses_is_denied(clock: Clock) -> None:
    with pytest.raises(Denied) as caught:
        play(
            Session(USER, clock).authorized(once()),
            answer(401, WWW_Authenticate=BEARER),
            answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": "bad password"}]}),
        )
    assert "token from auth.example" in str(caught.value)


def test_a_token_service_in_the_clear_gets_no_password(clock: Clock) -> None:
    with pytest.raises(Denied, match="in the clear"):
        play(
            Session(USER, clock).authorized(once()),
            answer(401, WWW_Authenticate='Bearer realm="http://auth.example/token"'),
        )


@pytest.mark.parametrize("body", [None, [], {}, {"token": 5}, {"token": "a\r\nb"}, {"token": ""}])
def test_answers_without_a_token_are_invalid(clock: Clock, body: object) -> None:
    with pytest.raises(Invalid):
        play(
            Session(None, clock).authorized(once()),
            answer(401, WWW_Authenticate=BEARER),
            answer(200, body),
        )


def test_the_password_is_not_in_the_repr() -> None:
    assert "secret" not in repr(USER)


def test_the_inner_dialogue_is_closed_when_the_outer_is(clock: Clock) -> None:
    ended = []

    def inner() -> Dialogue[Response]:
        try:
            return (yield Request(method="GET", target="/v2/"))
        finally:
            ended.append(True)

    outer = Session(None, clock).authorized(inner())
    next(outer)
    outer.close()
    assert ended == [True]
