"""Addresses and subnets, without touching a network."""

import ipaddress
from pathlib import Path

import msgspec
import pytest

from corten.errors import Conflict
from corten.runtime.networks import (
    POOL,
    BridgeNetwork,
    Lease,
    Leases,
    choose_subnet,
    free_address,
    interface_name,
    routes,
)
from corten.runtime.ports import PublishedPort

HEADER = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
NETWORK = ipaddress.IPv4Network("10.89.5.0/24")


def route(destination: str, mask: str) -> str:
    return f"eth0\t{destination}\t00000000\t0001\t0\t0\t0\t{mask}\t0\t0\t0\n"


def test_the_kernels_routes_are_read() -> None:
    text = HEADER + route("00000000", "00000000") + route("000200C0", "00FFFFFF")
    assert routes(text) == [ipaddress.IPv4Network("192.0.2.0/24")]
    assert routes(HEADER) == []


def test_interface_names_fit_and_differ() -> None:
    names = {interface_name("0123abcd", f"10.89.5.{n}") for n in range(256)}
    assert len(names) == 256
    assert all(len(name) <= 15 for name in names)


def test_addresses_go_round_and_skip_what_is_taken() -> None:
    state = Leases()
    first = free_address(state, NETWORK)
    assert first == "10.89.5.2"
    state.leases["a"] = Lease(first)
    assert free_address(state, NETWORK) == "10.89.5.3"
    # 3 was given back, but it is not its turn.
    assert free_address(state, NETWORK) == "10.89.5.4"
    state.last = 253
    assert free_address(state, NETWORK) == "10.89.5.254"
    assert free_address(state, NETWORK) == "10.89.5.3"


def test_gateway_network_and_broadcast_are_never_given() -> None:
    state = Leases()
    given = {free_address(state, NETWORK) for _ in range(600)}
    assert len(given) == 253
    assert not given & {"10.89.5.0", "10.89.5.1", "10.89.5.255"}


def test_a_full_subnet_is_a_conflict() -> None:
    state = Leases(leases={str(n): Lease(f"10.89.5.{n}") for n in range(2, 255)})
    with pytest.raises(Conflict, match="no free address"):
        free_address(state, NETWORK)


def test_a_subnet_is_chosen_by_the_root_and_avoids_routes() -> None:
    wanted = choose_subnet("00000005", "")
    assert wanted == ipaddress.IPv4Network("10.89.5.0/24")
    used = HEADER + route("0005590A", "00FFFFFF")
    assert choose_subnet("00000005", used) == ipaddress.IPv4Network("10.89.6.0/24")
    assert choose_subnet("000000ff", "") == ipaddress.IPv4Network("10.89.255.0/24")


def test_no_free_subnet_is_a_conflict() -> None:
    used = HEADER + route("0000590A", "0000FFFF")
    assert routes(used) == [POOL]
    with pytest.raises(Conflict, match="no free subnet"):
        choose_subnet("00000005", used)


def test_leases_survive_in_their_file(tmp_path: Path) -> None:
    network = BridgeNetwork(tmp_path, "abcd0123")
    assert network.lease("x") is None
    lease = Lease("10.89.5.2", (PublishedPort(80, 8080),))
    (tmp_path / "networks").mkdir()
    (tmp_path / "networks" / "bridge.json").write_bytes(
        msgspec.json.encode(Leases("10.89.5.0/24", 2, {"x": lease}))
    )
    assert network.lease("x") == lease
    assert network.lease("y") is None


def test_a_damaged_file_of_leases_is_started_anew(tmp_path: Path) -> None:
    (tmp_path / "networks").mkdir()
    (tmp_path / "networks" / "bridge.json").write_text("{half")
    assert BridgeNetwork(tmp_path, "abcd0123").lease("x") is None


def test_releasing_what_was_never_leased_does_nothing(tmp_path: Path) -> None:
    BridgeNetwork(tmp_path, "abcd0123").release("x")
    assert not (tmp_path / "networks").exists()
