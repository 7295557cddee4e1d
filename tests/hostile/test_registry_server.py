"""Clients that attack: what our registry makes of them."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from corten.oci.digest import Digest
from support.registry_calls import begin, chunk, codes, push_blob, put_manifest
from support.registry_server import RawAnswer, ServerProcess, corten_registry

MIB = 1024 * 1024


def raw(server: ServerProcess, data: bytes, close: bool = False) -> bytes:
    """What the server says to these bytes, until it closes or two seconds pass."""
    host, _, port = server.host.partition(":")
    said = b""
    with socket.create_connection((host, int(port)), timeout=2) as connection:
        connection.sendall(data)
        if close:
            connection.shutdown(socket.SHUT_WR)
        with suppress(OSError):
            while piece := connection.recv(65536):
                said += piece
    return said


@pytest.mark.parametrize(
    "path",
    [
        "/v2/../../etc/passwd",
        "/v2/..%2f..%2fetc/passwd",
        "/v2/%2e%2e/%2e%2e/blobs/uploads/",
        "/v2/a/blobs/sha256:../../../etc/passwd",
        "/v2/a/blobs/sha256:%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/v2/a/blobs/uploads/..%2f..%2fregistry.db",
        "/v2/a/blobs/uploads/../../../registry.db",
        "/v2/a/manifests/..%00",
        "/v2/a%00b/tags/list",
        "/v2/a%0d%0aX-Injected:%201/tags/list",
        "/v2//a//tags/list",
        "/v2/%ff%fe/tags/list",
        "//etc/passwd",
        "http://elsewhere.example/v2/",
    ],
)
def test_path_tricks_lead_nowhere(server: ServerProcess, path: str) -> None:
    said = raw(server, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    status = int(said.split(b" ", 2)[1])
    assert status in (400, 404) or path.startswith("http://")
    assert b"root:" not in said
    assert b"X-Injected: 1\r\n" not in said
    assert b"SQLite" not in said


@pytest.mark.parametrize(
    "head",
    [
        b"GET /v2/ HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Length: 5\r\n\r\n0\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nBad Header: x\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\n: x\r\n\r\n",
        b"GET /v2/\x00 HTTP/1.1\r\n\r\n",
        b"garbage\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
        b"GET /v2/" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\n" + b"X: aaaaaaaaaa\r\n" * 10_000 + b"\r\n",
    ],
)
def test_malformed_requests_are_400_and_end_the_connection(
    server: ServerProcess, head: bytes
) -> None:
    said = raw(server, head)
    assert not said or said.startswith(b"HTTP/1.1 400 ")
    assert server.request("GET", "/healthz").status == 200


def test_a_manifest_of_5_mib_is_413(server: ServerProcess, name: str) -> None:
    answer = put_manifest(server, name, "v1", b" " * (5 * MIB))
    assert (answer.status, codes(answer)) == (413, ["MANIFEST_INVALID"])


def test_an_endless_manifest_is_cut_off(server: ServerProcess, name: str) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += MIB
            yield b" " * MIB

    answer: RawAnswer | None = None
    with suppress(OSError):
        answer = server.request("PUT", f"/v2/{name}/manifests/v1", endless())
    assert answer is None or answer.status == 413
    assert sent < 100 * MIB
    assert server.memory_kib() < 200 * 1024


def test_a_manifest_that_claims_to_be_huge_is_refused_unread(
    server: ServerProcess, name: str
) -> None:
    head = f"PUT /v2/{name}/manifests/v1 HTTP/1.1\r\nContent-Length: 999999999999\r\n\r\n"
    assert raw(server, head.encode()).startswith(b"HTTP/1.1 413 ")


def test_a_length_that_lies_makes_no_blob(server: ServerProcess, name: str) -> None:
    data = os.urandom(1000)
    digest = Digest.of(data)
    location = begin(server, name)
    for body in (data[:500], data):
        head = (
            f"PUT {location}?digest={digest} HTTP/1.1\r\nHost: x\r\n"
            f"Content-Length: {len(data) + 500}\r\n\r\n"
        )
        raw(server, head.encode() + body, close=True)
        assert server.request("HEAD", f"/v2/{name}/blobs/{digest}").status == 404


def test_a_blob_with_another_digest_is_not_kept(tmp_path: Path) -> None:
    with corten_registry(tmp_path) as own:
        digest = Digest.of(b"wanted")
        path = f"/v2/a/blobs/uploads/?digest={digest}"
        answer = own.request("POST", path, b"other")
        assert (answer.status, codes(answer)) == (400, ["DIGEST_INVALID"])
    assert [p for p in (tmp_path / "blobs").rglob("*") if p.is_file()] == []
    assert list((tmp_path / "uploads").iterdir()) == []


def test_two_writers_of_one_upload_do_not_mix(server: ServerProcess, name: str) -> None:
    data = os.urandom(6 * MIB)
    location = begin(server, name)
    answers: list[RawAnswer] = []

    def send() -> None:
        answers.append(chunk(server, location, data, 0))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status for answer in answers) == [202, 416, 416, 416]
    path = f"{location}?digest={Digest.of(data)}"
    assert server.request("PUT", path, b"").status == 201


def test_many_at_once_push_the_same_blob(server: ServerProcess, name: str) -> None:
    data = os.urandom(2 * MIB)
    failures: list[BaseException] = []

    def send(number: int) -> None:
        try:
            push_blob(server, f"{name}/n{number % 3}", data)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    answer = server.request("GET", f"/v2/{name}/n0/blobs/{Digest.of(data)}")
    assert answer.body == data


def test_uploads_that_are_left_lying_do_not_keep_files_open(tmp_path: Path) -> None:
    with corten_registry(tmp_path) as own:
        locations = []
        for _ in range(300):
            location = begin(own, "a")
            assert chunk(own, location, b"x", 0).status == 202
            locations.append(location)
        assert len(list(Path(f"/proc/{own.pid}/fd").iterdir())) < 250
        for location in (locations[0], locations[-1]):
            assert own.request("GET", location).headers["range"] == "0-0"
            answer = own.request("PUT", f"{location}?digest={Digest.of(b'x')}", b"")
            assert answer.status == 201


def test_clients_that_stop_reading_do_not_stop_others(server: ServerProcess, name: str) -> None:
    data = os.urandom(30 * MIB)
    digest = push_blob(server, name, data)
    host, _, port = server.host.partition(":")
    stalled = []
    try:
        for _ in range(60):
            connection = socket.create_connection((host, int(port)), timeout=5)
            stalled.append(connection)
            connection.sendall(
                f"GET /v2/{name}/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            )
        assert server.request("GET", f"/v2/{name}/blobs/{digest}").body == data
        assert push_blob(server, name, b"meanwhile")
        assert server.memory_kib() < 200 * 1024
    finally:
        for connection in stalled:
            connection.close()


def test_clients_that_leave_amid_a_download_leave_nothing_open(
    server: ServerProcess, name: str
) -> None:
    digest = push_blob(server, name, os.urandom(20 * MIB))
    before = len(list(Path(f"/proc/{server.pid}/fd").iterdir()))
    host, _, port = server.host.partition(":")
    for _ in range(20):
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(
                f"GET /v2/{name}/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            )
            connection.recv(1000)
    for _ in range(50):
        server.request("GET", "/healthz")
    assert len(list(Path(f"/proc/{server.pid}/fd").iterdir())) <= before + 5


def test_pages_of_other_sites_do_not_push(server: ServerProcess, name: str) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    path = f"/v2/{name}/blobs/uploads/?digest={Digest.of(b'x')}"
    answer = server.request("POST", path, b"x", headers)
    assert (answer.status, codes(answer)) == (403, ["DENIED"])


def test_pipelined_requests_are_answered_in_order(server: ServerProcess, name: str) -> None:
    data = os.urandom(500_000)
    digest = push_blob(server, name, data)
    request = f"GET /v2/{name}/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n"
    last = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    said = raw(server, (request * 3 + last).encode())
    assert said.count(data) == 3
    assert said.endswith(b"ok\n")


def test_the_log_shows_no_control_characters(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with corten_registry(tmp_path) as own:
        own.request("GET", "/v2/%1b%5b31m%0aforged/tags/list", headers={"User-Agent": "a\x1bb"})
    said = capfd.readouterr().err
    assert "\x1b" not in said
    assert "\nforged" not in said
