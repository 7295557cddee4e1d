"""Servers that a Dockerfile's ADD meets: slow, lying, and behind a proxy with a password."""

# ruff: noqa: SIM117 - a server around an expectation reads better as two blocks

from __future__ import annotations

import base64
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
import urllib3

from corten.builder.cache import BuildCache
from corten.builder.downloads import Asked, Fetched, Means, fetch, look
from corten.errors import Cancelled, Invalid, Unavailable
from corten.events.job import Job
from corten.remote.arriving import Arriving
from support.scripted_server import Seen, reply, scripted

HEAD = reply(200, Content_Length="4000")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def dripping(seen: Seen) -> Iterator[bytes]:
    """The head, then a byte each 10 ms: 40 s for all."""
    yield HEAD
    for _ in range(4000):
        time.sleep(0.01)
        yield b"x"


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[BuildCache]:
    with BuildCache(tmp_path) as opened:
        yield opened


def means(cache: BuildCache, **environ: str) -> Means:
    return Means(cache, tempfile.TemporaryFile, environ)


def content(fetched: Fetched) -> bytes:
    file: BinaryIO | None = fetched.file
    assert file is not None
    with file:
        return file.read()


def test_a_download_that_drips_is_cancelled_soon(cache: BuildCache) -> None:
    job = Job()
    timer = threading.Timer(0.1, job.cancel)
    timer.start()
    with scripted(dripping) as server, pytest.raises(Cancelled):
        begun = time.monotonic()
        fetch(Asked(f"http://{server.host}/f"), means(cache), job)
    timer.join()
    assert time.monotonic() - begun < 10


def test_a_drip_comes_in_small_pieces_and_a_flood_in_large_ones() -> None:
    def answer(seen: Seen) -> bytes | Iterator[bytes]:
        return dripping(seen) if seen.path == "/drip" else reply(200, bytes(8 << 20))

    with scripted(answer) as server, urllib3.PoolManager() as pool:
        slow = pool.request("GET", f"http://{server.host}/drip", preload_content=False)
        assert 0 < len(Arriving(slow).read(1 << 20)) < 4000
        slow.close()
        fast = pool.request("GET", f"http://{server.host}/flood", preload_content=False)
        body = Arriving(fast)
        sizes = [len(piece) for piece in iter(lambda: body.read(1 << 20), b"")]
        fast.close()
    assert sum(sizes) == 8 << 20
    assert len(sizes) < 40


@pytest.mark.parametrize("head", [HEAD, CHUNKED], ids=["length", "chunked"])
def test_a_download_that_breaks_off_is_no_content(cache: BuildCache, head: bytes) -> None:
    with scripted(lambda seen: head + b"4\r\nsome\r\n") as server:
        with pytest.raises(Unavailable, match="broke off"):
            fetch(Asked(f"http://{server.host}/f"), means(cache), Job())


def test_a_proxy_gets_the_name_and_password_of_its_url(cache: BuildCache) -> None:
    with scripted(lambda seen: reply(200, b"abc")) as proxy:
        environ = {"http_proxy": f"http://us%40er:p%3aw%C3%A9@{proxy.host}"}
        fetched = fetch(Asked("http://files.test/f"), means(cache, **environ), Job())
    assert content(fetched) == b"abc"
    [seen] = proxy.seen
    login = base64.b64encode("us@er:p:wé".encode()).decode()
    assert seen.headers["proxy-authorization"] == f"Basic {login}"


@pytest.mark.parametrize("url", ["http://[::1/x", "http://h:99999999/x", "http:///x"])
def test_a_url_without_a_host_that_can_be_is_invalid(cache: BuildCache, url: str) -> None:
    with pytest.raises(Invalid, match="host or port is malformed"):
        look(Asked(url), means(cache), Job())


@pytest.mark.parametrize("place", ["http://[::1/", "file:///etc/passwd"])
def test_a_redirect_to_what_is_no_url_is_invalid(cache: BuildCache, place: str) -> None:
    with scripted(lambda seen: reply(302, Location=place)) as server:
        with pytest.raises(Invalid, match=f"cannot fetch http://{server.host}/f: "):
            fetch(Asked(f"http://{server.host}/f"), means(cache), Job())


def test_a_304_that_nobody_asked_for_is_no_content(cache: BuildCache) -> None:
    with scripted(lambda seen: reply(304)) as server:
        with pytest.raises(Unavailable, match="answers 304"):
            fetch(Asked(f"http://{server.host}/f"), means(cache), Job())


def test_a_304_that_was_asked_for_is_what_is_known(cache: BuildCache) -> None:
    def answer(seen: Seen) -> bytes:
        return reply(304) if "if-none-match" in seen.headers else reply(200, b"abc", ETag='"1"')

    with scripted(answer) as server:
        asked = Asked(f"http://{server.host}/f")
        fetched = fetch(asked, means(cache), Job())
        assert content(fetched) == b"abc"
        assert look(asked, means(cache), Job()).digest == fetched.digest
