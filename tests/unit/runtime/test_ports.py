"""Published ports: their notation, and sockets that hold them."""

import socket

import pytest

from corten.errors import Invalid
from corten.runtime.ports import PortTaken, PublishedPort, Reservation, parse_port


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", PublishedPort(80)),
        (":80", PublishedPort(80)),
        ("0:80", PublishedPort(80)),
        ("127.0.0.1:0:80/udp", PublishedPort(80, 0, "127.0.0.1", "udp")),
        ("8080:80", PublishedPort(80, 8080)),
        ("8080:80/tcp", PublishedPort(80, 8080)),
        ("8080:53/udp", PublishedPort(53, 8080, "", "udp")),
        ("127.0.0.1:8080:80", PublishedPort(80, 8080, "127.0.0.1")),
        ("127.0.0.1:80", PublishedPort(80, 0, "127.0.0.1")),
        ("127.0.0.1::80", PublishedPort(80, 0, "127.0.0.1")),
        ("0.0.0.0:1:65535", PublishedPort(65535, 1, "0.0.0.0")),
        ("[::1]:8080:80", PublishedPort(80, 8080, "::1")),
        ("[0:0:0:0:0:0:0:1]::80", PublishedPort(80, 0, "::1")),
    ],
)
def test_every_form_is_read(text: str, expected: PublishedPort) -> None:
    assert parse_port(text) == (expected,)


def test_ranges_go_side_by_side() -> None:
    assert parse_port("8000-8002:80-82/udp") == tuple(
        PublishedPort(80 + n, 8000 + n, "", "udp") for n in range(3)
    )
    assert parse_port("80-81") == (PublishedPort(80), PublishedPort(81))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "80:",
        "80:x",
        "0",
        "8080:0",
        "0-1:80-81",
        "65536",
        "8080:99999",
        "123456:80",
        "82-80",
        "8000-8001:80-82",
        "80/icmp",
        "80/",
        "999.1.1.1:80:80",
        "[zz]:80:80",
        "1:2:3:4",
        "-80",
        "80 ",
        "8080:80-",
    ],
)
def test_nonsense_is_refused_by_name(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_port(text)
    assert repr(text) in str(caught.value) or text in str(caught.value)


def test_a_port_reads_well() -> None:
    assert str(PublishedPort(80, 8080)) == "0.0.0.0:8080->80/tcp"
    assert str(PublishedPort(80, 8080, "::1", "udp")) == "[::1]:8080->80/udp"


def test_a_free_port_is_found_and_held() -> None:
    with Reservation([PublishedPort(80, 0, "127.0.0.1")]) as reserved:
        (port,) = reserved.ports
        assert port.host_port > 0
        assert len(reserved.descriptors) == 1
        with pytest.raises(PortTaken) as caught:
            Reservation([port])
        assert caught.value.port == port
        assert str(port.host_port) in str(caught.value)
        assert caught.value.hint
    with Reservation([port]):
        pass


def test_a_port_held_for_all_addresses_is_held_for_each() -> None:
    with Reservation([PublishedPort(80)]) as reserved:
        port = reserved.ports[0].host_port
        with pytest.raises(PortTaken):
            Reservation([PublishedPort(81, port, "127.0.0.1")])


def test_protocols_do_not_get_in_each_others_way() -> None:
    with Reservation([PublishedPort(80, 0, "127.0.0.1")]) as reserved:
        port = reserved.ports[0].host_port
        with Reservation([PublishedPort(80, port, "127.0.0.1", "udp")]) as other:
            assert other.ports[0].host_port == port


def test_if_one_port_is_taken_none_stays_held() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        with Reservation([PublishedPort(1, 0, "127.0.0.1")]) as free:
            first = free.ports[0]
        with pytest.raises(PortTaken):
            Reservation([first, PublishedPort(2, number, "127.0.0.1")])
        with Reservation([first]):
            pass


def test_an_address_that_is_not_ours_is_refused() -> None:
    with pytest.raises(Invalid, match=r"192\.0\.2\.199 is not an address of this host"):
        Reservation([PublishedPort(80, 0, "192.0.2.199")])


def test_descriptors_do_not_leak_into_programs() -> None:
    import os

    with Reservation([PublishedPort(80, 0, "127.0.0.1")]) as reserved:
        assert not os.get_inheritable(reserved.descriptors[0])
