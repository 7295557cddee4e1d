"""Registries that lie, flood, redirect and leak: what our client makes of them."""

# ruff: noqa: SIM117 - a server around an expectation reads better as two blocks

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from corten import errors
from corten.oci import media
from corten.oci.descriptor import Descriptor, describe
from corten.oci.reference import Reference
from corten.remote.registries import Registries
from corten.remote.repository import RemoteRepository
from support.scripted_server import Script, Seen, reply, scripted

DATA = b"0123456789" * 1000
BLOB = describe(DATA, media.OCI_LAYER)
DOCUMENT = json.dumps({"schemaVersion": 2, "manifests": []}).encode()
ROOT = describe(DOCUMENT, media.OCI_INDEX)
SECRET = base64.b64encode(b"user:secret").decode()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return tmp_path / "auth.json"


def client(host: str, saved: Path | None = None) -> RemoteRepository:
    environ = {}
    if saved is not None:
        saved.write_text(json.dumps({"auths": {host: {"auth": SECRET}}}))
        environ = {"REGISTRY_AUTH_FILE": str(saved)}
    registries = Registries(environ)
    return registries.open(Reference.parse(f"{host}/some/app"), ("pull", "push"))


def plainly(script: Script) -> Script:
    """The check of the protocol succeeds, everything else is the script's."""

    def answer(seen: Seen) -> bytes | Iterator[bytes]:
        return reply(200, b"{}") if seen.path == "/v2/" else script(seen)

    return answer


def guarded(script: Script) -> Script:
    """Without the credential everything is refused."""

    def answer(seen: Seen) -> bytes | Iterator[bytes]:
        if seen.headers.get("authorization") != f"Basic {SECRET}":
            return reply(401, WWW_Authenticate='Basic realm="x"')
        return script(seen)

    return answer


def fetch(repository: RemoteRepository, descriptor: Descriptor, offset: int = 0) -> bytes:
    with repository.open(descriptor, offset) as reader:
        return b"".join(iter(lambda: reader.read(65536), b""))


def test_a_redirect_to_another_host_gets_no_credential(saved: Path) -> None:
    with scripted(lambda seen: reply(200, DATA)) as store:
        target = f"http://{store.host}/blob?signature=1"
        with scripted(guarded(lambda seen: reply(307, Location=target))) as registry:
            assert fetch(client(registry.host, saved), BLOB) == DATA
    assert [seen.path for seen in store.seen] == ["/blob?signature=1"]
    assert "authorization" not in store.seen[0].headers


def test_a_redirect_within_the_registry_keeps_the_credential(saved: Path) -> None:
    def script(seen: Seen) -> bytes:
        if seen.path.startswith("/v2/some"):
            return reply(302, Location="/elsewhere/blob")
        return reply(200, DATA)

    with scripted(guarded(script)) as registry:
        assert fetch(client(registry.host, saved), BLOB) == DATA


def test_a_credential_does_not_come_back_after_a_detour(saved: Path) -> None:
    hosts: dict[str, str] = {}

    def bounce(seen: Seen) -> bytes:
        return reply(302, Location=f"http://{hosts['registry']}/last")

    with scripted(bounce) as other:

        def script(seen: Seen) -> bytes:
            if seen.path == "/last":
                return reply(200, DATA)
            if seen.headers.get("authorization") != f"Basic {SECRET}":
                return reply(401, WWW_Authenticate='Basic realm="x"')
            return reply(302, Location=f"http://{other.host}/")

        with scripted(script) as registry:
            hosts["registry"] = registry.host
            assert fetch(client(registry.host, saved), BLOB) == DATA
    assert "authorization" not in other.seen[0].headers
    assert "authorization" not in registry.seen[-1].headers


def test_a_location_on_another_host_gets_no_credential(saved: Path) -> None:
    with scripted(lambda seen: reply(201)) as store:
        location = f"http://{store.host}/upload?ticket=1"
        with scripted(guarded(lambda seen: reply(202, Location=location))) as registry:
            with client(registry.host, saved).ingest(BLOB) as ingest:
                ingest.write(DATA)
                ingest.commit()
    (put,) = store.seen
    assert (put.method, put.body) == ("PUT", DATA)
    assert put.path == f"/upload?ticket=1&digest={BLOB.digest}"
    assert "authorization" not in put.headers


def test_a_link_to_another_host_is_not_followed(saved: Path) -> None:
    with scripted(lambda seen: reply(200, b'{"tags":["stolen"]}')) as other:
        link = f'<http://{other.host}/v2/some/app/tags/list?last=a>; rel="next"'
        script = guarded(lambda seen: reply(200, b'{"tags":["a"]}', Link=link))
        with scripted(script) as registry:
            assert list(client(registry.host, saved).tags()) == ["a"]
    assert other.seen == []


def test_redirects_in_a_circle_end() -> None:
    with scripted(plainly(lambda seen: reply(302, Location=seen.path))) as registry:
        with pytest.raises(errors.Unavailable, match="circle"):
            fetch(client(registry.host), BLOB)
        assert len(registry.seen) < 15


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://user:pw@127.0.0.1/", "http://["]
)
def test_redirects_to_other_schemes_are_refused(location: str) -> None:
    with scripted(plainly(lambda seen: reply(302, Location=location))) as registry:
        with pytest.raises(errors.Invalid):
            fetch(client(registry.host), BLOB)


def test_a_body_that_ends_early_is_unavailable() -> None:
    script = plainly(lambda seen: reply(200, DATA[:5000], Content_Length=str(len(DATA))))
    with scripted(script) as registry, pytest.raises(errors.Unavailable) as caught:
        fetch(client(registry.host), BLOB)
    expected = f"{registry.host} closed the connection after 5000 of 10000 bytes of {BLOB.digest}"
    assert caught.value.message == expected
    assert "goes on from there" in caught.value.hint


def test_a_body_without_a_length_that_ends_early_is_unavailable() -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    with scripted(plainly(lambda seen: head + DATA[:5000])) as registry:
        with pytest.raises(errors.Unavailable, match="after 5000 of 10000 bytes"):
            fetch(client(registry.host), BLOB)


def test_a_length_that_is_not_the_blobs_is_corrupt() -> None:
    for body in (DATA + b"more", DATA[:-1]):
        with scripted(plainly(lambda seen, body=body: reply(200, body))) as registry:  # type: ignore[misc]
            with pytest.raises(errors.Corrupt):
                fetch(client(registry.host), BLOB)


def test_an_endless_body_is_cut_off_at_the_blobs_size() -> None:
    sent = []

    def endless(seen: Seen) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
        while True:
            sent.append(1)
            yield b"x" * 100_000

    with scripted(plainly(endless)) as registry:
        with pytest.raises(errors.Corrupt, match="more than"):
            fetch(client(registry.host), BLOB)
    assert len(sent) < 1000


def test_an_endless_manifest_is_refused() -> None:
    def endless(seen: Seen) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
        while True:
            yield b" " * 100_000

    with scripted(plainly(endless)) as registry:
        with pytest.raises(errors.Invalid, match="more than"):
            client(registry.host).open(ROOT)


def test_an_endless_complaint_says_what_it_says() -> None:
    def endless(seen: Seen) -> Iterator[bytes]:
        yield b"HTTP/1.1 403 No\r\nConnection: close\r\n\r\n"
        while True:
            yield b"go away " * 10_000

    with scripted(plainly(endless)) as registry, pytest.raises(errors.Denied):
        client(registry.host).open(ROOT)


def test_endless_header_fields_end() -> None:
    def endless(seen: Seen) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n"
        while True:
            yield b"X-Field: " + b"y" * 1000 + b"\r\n"

    with scripted(plainly(endless)) as registry, pytest.raises(errors.Unavailable):
        client(registry.host).open(BLOB)


def test_a_manifest_that_is_not_its_digests_is_corrupt() -> None:
    script = plainly(lambda seen: reply(200, DOCUMENT + b" ", Content_Type=media.OCI_INDEX))
    with scripted(script) as registry, pytest.raises(errors.Corrupt):
        client(registry.host).open(ROOT)


def test_a_tag_whose_header_lies_does_not_verify() -> None:
    other = "sha256:" + "0" * 64

    def script(seen: Seen) -> bytes:
        fields: dict[str, Any] = {"Content_Type": media.OCI_INDEX, "Docker_Content_Digest": other}
        if seen.method == "HEAD":
            return reply(200, Content_Length=str(len(DOCUMENT)), **fields)
        return reply(200, DOCUMENT, **fields)

    with scripted(plainly(script)) as registry:
        repository = client(registry.host)
        root = repository.resolve("latest")
        assert root.digest == other
        with pytest.raises(errors.Corrupt):
            repository.open(root)


@pytest.mark.parametrize("digest", ["../../etc/passwd", "sha256:xyz", "sha256:" + "G" * 64])
def test_a_malformed_digest_header_is_invalid(digest: str) -> None:
    fields: dict[str, Any] = {"Content_Type": media.OCI_INDEX, "Docker_Content_Digest": digest}
    with scripted(plainly(lambda seen: reply(200, Content_Length="5", **fields))) as registry:
        with pytest.raises(errors.Invalid):
            client(registry.host).resolve("latest")


def test_a_blob_that_comes_encoded_is_refused() -> None:
    script = plainly(lambda seen: reply(200, DATA, Content_Encoding="gzip"))
    with scripted(script) as registry, pytest.raises(errors.Invalid, match="encoded"):
        fetch(client(registry.host), BLOB)


def test_a_registry_without_ranges_is_read_from_the_beginning() -> None:
    with scripted(plainly(lambda seen: reply(200, DATA))) as registry:
        assert fetch(client(registry.host), BLOB, 4321) == DATA[4321:]
        assert registry.seen[-1].headers["range"] == "bytes=4321-"


@pytest.mark.parametrize(
    "given", ["bytes 0-9/10000", "bytes */10000", "x", "bytes 4320-9999/10000"]
)
def test_another_range_than_was_asked_for_is_refused(given: str) -> None:
    with scripted(plainly(lambda seen: reply(206, DATA, Content_Range=given))) as registry:
        with pytest.raises(errors.Invalid, match="another range"):
            fetch(client(registry.host), BLOB, 4321)


def test_a_registry_that_never_accepts_is_asked_twice_not_for_ever(saved: Path) -> None:
    script = lambda seen: reply(401, WWW_Authenticate='Basic realm="x"')  # noqa: E731
    with scripted(script) as registry:
        with pytest.raises(errors.Denied, match="credentials are needed"):
            client(registry.host, saved).open(BLOB)
        assert len(registry.seen) <= 4


@pytest.mark.parametrize("token", ["a b", "a\r\nX-Injected: 1", "", "\u00e4"])
def test_a_token_that_is_none_is_refused(token: str) -> None:
    hosts: dict[str, str] = {}

    def script(seen: Seen) -> bytes:
        if seen.path.startswith("/token"):
            return reply(200, json.dumps({"token": token}).encode())
        return reply(401, WWW_Authenticate=f'Bearer realm="http://{hosts["registry"]}/token"')

    with scripted(script) as registry:
        hosts["registry"] = registry.host
        with pytest.raises(errors.Invalid, match="token"):
            client(registry.host).open(BLOB)


@pytest.mark.parametrize("realm", ["file:///etc/passwd", "/token", "http://u:p@h/t", "http://h/ t"])
def test_a_token_service_that_is_no_url_is_refused(realm: str) -> None:
    script = lambda seen: reply(401, WWW_Authenticate=f'Bearer realm="{realm}"')  # noqa: E731
    with scripted(script) as registry, pytest.raises(errors.Invalid, match="token service"):
        client(registry.host).open(BLOB)


def test_pages_that_lead_to_themselves_end() -> None:
    link = '</v2/some/app/tags/list?n=1>; rel="next"'
    with scripted(plainly(lambda seen: reply(200, b'{"tags":["a"]}', Link=link))) as registry:
        assert list(client(registry.host).tags()) == ["a", "a"]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"tags":[1]}', b'{"tags":{}}', b"\xff", b"[" * 9999]
)
def test_lists_that_are_none_are_invalid(body: bytes) -> None:
    with scripted(plainly(lambda seen: reply(200, body))) as registry:
        with pytest.raises(errors.Invalid, match="list"):
            list(client(registry.host).tags())


@pytest.mark.parametrize(
    "answer", [b"", b"garbage\r\n\r\n", b"HTTP/9.9 abc\r\n\r\n", b"\x16\x03\x01\x00"]
)
def test_what_is_no_http_is_unavailable(answer: bytes) -> None:
    with scripted(lambda seen: answer) as registry:
        with pytest.raises((errors.Unavailable, errors.Invalid), match=r"127\.0\.0\.1"):
            client(registry.host).resolve("latest")


def test_an_upload_that_the_registry_refuses_amid_is_that_error() -> None:
    big = Descriptor(media_type=media.OCI_LAYER, digest=BLOB.digest, size=64 * 1024 * 1024)
    body = b'{"errors":[{"code":"DENIED","message":"quota"}]}'

    def script(seen: Seen) -> bytes:
        if seen.method == "POST":
            return reply(202, Location="/v2/some/app/blobs/uploads/1")
        return reply(403, body)

    with scripted(plainly(script)) as registry:
        with pytest.raises((errors.Denied, errors.Unavailable)):
            with client(registry.host).ingest(big) as ingest:
                for _ in range(64):
                    ingest.write(bytes(1024 * 1024))
                ingest.commit()


def test_a_manifest_that_the_registry_changed_is_corrupt() -> None:
    other = "sha256:" + "0" * 64
    with scripted(plainly(lambda seen: reply(201, Docker_Content_Digest=other))) as registry:
        with pytest.raises(errors.Corrupt, match="other bytes"):
            with client(registry.host).ingest(ROOT, "v1") as ingest:
                ingest.write(DOCUMENT)
                ingest.commit()


def test_wrong_bytes_are_not_pushed() -> None:
    def script(seen: Seen) -> bytes:
        return reply(202, Location="/v2/some/app/blobs/uploads/1")

    with scripted(plainly(script)) as registry:
        repository = client(registry.host)
        with pytest.raises(errors.Corrupt), repository.ingest(BLOB) as ingest:
            ingest.write(DATA + b"x")
        with pytest.raises(errors.Corrupt), repository.ingest(BLOB) as ingest:
            ingest.write(DATA[:-1])
            ingest.commit()
        with pytest.raises(errors.Corrupt), repository.ingest(ROOT, "v1") as ingest:
            ingest.write(DOCUMENT[:-1] + b"]")
            ingest.commit()
        assert {seen.method for seen in registry.seen} == {"GET", "POST", "DELETE"}


def test_a_blob_that_drips_comes_in_small_pieces() -> None:
    def drip(seen: Seen) -> Iterator[bytes]:
        yield reply(200, Content_Length=str(len(DATA)))
        for byte in DATA:
            time.sleep(0.01)
            yield bytes([byte])

    with scripted(plainly(drip)) as registry, client(registry.host).open(BLOB) as reader:
        assert DATA.startswith(piece := reader.read(1 << 20))
        assert 0 < len(piece) < len(DATA)
