"""Error codes between families, protocol and HTTP."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corten import errors
from corten.registry.access import challenge
from corten.wire.codes import CODES, Refused, complaints, decode, encode, refusal
from corten.wire.messages import Headers, Response

SPECIFIED = {
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UPLOAD_UNKNOWN",
    "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "SIZE_INVALID",
    "UNAUTHORIZED",
    "DENIED",
    "UNSUPPORTED",
    "TOOMANYREQUESTS",
}


def answer(status: int, body: bytes = b"") -> Response:
    return Response(status=status, headers=Headers(), body=body, origin="http://127.0.0.1:5000")


def test_every_code_of_the_specification_is_known() -> None:
    assert set(CODES) >= SPECIFIED


def test_codes_are_written_as_the_specification_says() -> None:
    assert all(re.fullmatch("[A-Z_]+", code) for code in CODES)


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_refusal_survives_the_wire(code: str) -> None:
    sent = refusal(code, "words", detail={"digest": "x"})
    status, body = encode(sent)
    received = decode(answer(status, body), "push of a")
    assert received.code == code
    assert received.status == status == CODES[code].status
    assert received.detail == {"digest": "x"}
    if status < 500:
        assert isinstance(received, CODES[code].family)
    assert "words" in str(received)


def test_refusals_are_of_their_family() -> None:
    for code, entry in CODES.items():
        error = refusal(code)
        assert isinstance(error, entry.family)
        assert isinstance(error, Refused)
        assert str(error) == entry.message


def test_a_status_of_its_own_may_change_the_family() -> None:
    error = refusal("UNAVAILABLE", status=408)
    assert error.status == 408
    assert isinstance(refusal("MANIFEST_INVALID", status=413), errors.Invalid)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.NotFound("x"), 404),
        (errors.Conflict("x"), 409),
        (errors.Invalid("x"), 400),
        (errors.Corrupt("x"), 400),
        (errors.Denied("x"), 403),
        (errors.Unavailable("x"), 503),
        (errors.Unsupported("x"), 405),
        (errors.Cancelled("x"), 500),
    ],
)
def test_families_have_a_status(error: errors.CortenError, status: int) -> None:
    given_status, body = encode(error)
    assert given_status == status
    (entry,) = json.loads(body)["errors"]
    assert set(entry) == {"code", "message"}
    assert entry["code"] in CODES


@pytest.mark.parametrize(
    ("status", "family"),
    [
        (400, errors.Invalid),
        (401, errors.Denied),
        (403, errors.Denied),
        (404, errors.NotFound),
        (405, errors.Unsupported),
        (409, errors.Conflict),
        (416, errors.Invalid),
        (418, errors.Invalid),
        (429, errors.Unavailable),
        (500, errors.Unavailable),
        (502, errors.Unavailable),
        (599, errors.Unavailable),
    ],
)
def test_a_bare_status_has_a_family(status: int, family: type[errors.CortenError]) -> None:
    error = decode(answer(status), "pull of a")
    assert isinstance(error, family)
    usual = {401: "credentials are needed", 403: "access is denied", 404: "not found"}
    said = {**usual, 429: "too many requests"}.get(status, f"HTTP status {status}")
    assert str(error) == f"127.0.0.1:5000: pull of a: {said}"


def test_what_is_not_found_has_a_hint() -> None:
    assert decode(answer(404), "example/app:1").hint == "check that name and tag are right"
    hint = decode(answer(404), f"example/app@sha256:{'0' * 64}").hint
    assert hint == "check that name and digest are right"


def test_a_registry_of_ours_has_nothing_to_log_in_to() -> None:
    fields = Headers((("WWW-Authenticate", challenge()),))
    hint = decode(Response(status=401, headers=fields), "x").hint
    assert "--anonymous" in hint
    assert "docker login" not in hint
    assert "docker login" in decode(answer(401), "x").hint


def test_a_code_says_more_than_the_status() -> None:
    body = b'{"errors":[{"code":"DIGEST_INVALID","message":"no"}]}'
    assert isinstance(decode(answer(400, body), "x"), errors.Corrupt)


def test_a_servers_own_failure_is_no_matter_of_the_code() -> None:
    body = b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no"}]}'
    assert isinstance(decode(answer(503, body), "x"), errors.Unavailable)


def test_unknown_codes_count_as_unknown() -> None:
    body = b'{"errors":[{"code":"SOMETHING_NEW","message":"hm"}]}'
    error = decode(answer(404, body), "x")
    assert (error.code, str(error)) == ("UNKNOWN", "127.0.0.1:5000: x: hm")
    assert isinstance(error, errors.NotFound)


def test_control_characters_of_a_stranger_do_not_reach_the_terminal() -> None:
    body = json.dumps({"errors": [{"code": "DENIED", "message": "a\x1b[31m\r\nb" + "x" * 9999}]})
    text = str(decode(answer(403, body.encode()), "x"))
    assert text.isprintable()
    assert len(text) < 700


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"errors": 5}', b'{"errors":[5]}', b"\xff", b"[" * 5000]
)
def test_bodies_that_are_no_errors_say_nothing(body: bytes) -> None:
    assert complaints(body) == []


@given(st.binary(max_size=100))
def test_any_body_can_be_decoded(body: bytes) -> None:
    assert decode(answer(404, body), "x").status == 404


@pytest.mark.parametrize("status", [401, 403, 429])
def test_hints_say_what_to_do(status: int) -> None:
    assert decode(answer(status), "x").hint
