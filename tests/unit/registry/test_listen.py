"""Where the registry listens, and what it says of addresses that are none."""

from __future__ import annotations

import contextlib
import socket

import pytest

from corten.errors import Conflict, Invalid
from corten.registry.server import listen


def test_a_free_port_is_found() -> None:
    with contextlib.closing(listen("127.0.0.1", 0)) as found:
        assert found.getsockname()[0] == "127.0.0.1"
        assert found.getsockname()[1] > 0


def test_a_port_in_use_is_a_conflict() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Conflict, match=f"127.0.0.1:{port} is in use"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["foo.invalid", "999.1.1.1", "a" * 70, "a..b"])
def test_what_is_no_address_is_refused_in_a_plain_line_with_a_hint(host: str) -> None:
    with pytest.raises(Invalid) as caught:
        listen(host, 5000)
    assert caught.value.message == f"there is no address {host!r}"
    assert "HOST:PORT" in caught.value.hint


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(Invalid) as caught:
        listen("192.0.2.1", 5000)
    assert caught.value.message == "192.0.2.1 is no address of this machine"
    assert "HOST:PORT" in caught.value.hint
