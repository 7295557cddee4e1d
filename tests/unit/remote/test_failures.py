"""What failures of the network become."""

import ssl
from socket import gaierror

import pytest
from urllib3 import exceptions
from urllib3.connection import HTTPConnection

from corten.errors import Corrupt, CortenError, Denied, Invalid, NotFound, Unavailable
from corten.remote.failures import explain

HOST = "registry.example"
CONNECTION = HTTPConnection("registry.example")


def chained(outer: BaseException, cause: BaseException) -> BaseException:
    outer.__cause__ = cause
    return outer


@pytest.mark.parametrize(
    ("error", "family", "words"),
    [
        (
            chained(
                exceptions.NewConnectionError(CONNECTION, "x"), ConnectionRefusedError(111, "r")
            ),
            Unavailable,
            "connection refused",
        ),
        (
            exceptions.NameResolutionError("h", CONNECTION, gaierror("n")),
            Unavailable,
            "not resolve",
        ),
        (exceptions.ConnectTimeoutError(CONNECTION, "late"), Unavailable, "no connection in time"),
        (TimeoutError("timed out"), Unavailable, "does not answer any more"),
        (
            exceptions.ProxyError("proxy", exceptions.NewConnectionError(CONNECTION, "no route")),
            Unavailable,
            "proxy",
        ),
        (exceptions.ProtocolError("cut", ConnectionResetError(104, "reset")), Unavailable, "reset"),
        (ssl.SSLError(1, "wrong version number"), Unavailable, "TLS"),
        (exceptions.LocationValueError("no host"), Invalid, "cannot be asked"),
        (OSError(101, "Network is unreachable"), Unavailable, "Network is unreachable"),
    ],
)
def test_one_line_that_names_the_host(
    error: BaseException, family: type[CortenError], words: str
) -> None:
    found = explain(error, HOST, False)
    assert isinstance(found, family)
    assert str(found).startswith(HOST)
    assert words in str(found)
    assert "0x" not in str(found)


def test_a_certificate_that_is_not_trusted_is_denied_and_not_tried_again() -> None:
    inner = ssl.SSLCertVerificationError(1, "certificate verify failed")
    inner.verify_message = "self-signed certificate"
    found = explain(exceptions.SSLError(inner), HOST, False)
    assert isinstance(found, Denied)
    assert "self-signed" in str(found)
    assert "SSL_CERT_FILE" in found.hint


def test_our_own_error_comes_out_of_the_library_as_it_was() -> None:
    ours = Corrupt("the source is corrupt")
    assert explain(chained(exceptions.ProtocolError("x"), ours), HOST, False) is ours


def test_errors_that_cause_each_other_end() -> None:
    first, second = OSError("a"), OSError("b")
    first.__cause__, second.__cause__ = second, first
    assert isinstance(explain(first, HOST, True), Unavailable)


def test_what_was_handled_before_is_no_part_of_it() -> None:
    try:
        raise NotFound("not in the store")
    except NotFound as before:
        try:
            raise ConnectionRefusedError(111, "Connection refused")
        except OSError as error:
            found = explain(error, "registry.example", False, before)
    assert isinstance(found, Unavailable)
    assert "registry.example does not answer" in found.message
