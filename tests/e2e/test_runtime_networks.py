"""Networks of real containers: bridge, published ports, conflicts, what stays (nothing)."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.errors import Conflict, Unsupported
from corten.runtime import lifecycle
from corten.runtime.containers import ContainerRecord
from corten.runtime.ports import PortTaken, PublishedPort, parse_port
from corten.runtime.state import Status, read_started
from support.containers import World, eventually, needs_root, run_exec, world

pytestmark = [pytest.mark.root, pytest.mark.e2e, needs_root]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def server(here: World, text: str, *ports: str, **options: object) -> ContainerRecord:
    """A started container that serves `text` by HTTP on port 80."""
    published = tuple(port for given in ports for port in parse_port(given))
    command = f"mkdir /www; echo {text} > /www/index.html; exec httpd -f -p 80 -h /www"
    fields = {"network": "bridge", "ports": published, **options}
    record = here.create("sh", "-c", command, **fields)
    here.start(record)
    return record


def host_port(here: World, record: ContainerRecord) -> int:
    lease = here.runtime.network.lease(record.id)
    assert lease is not None
    return lease.ports[0].host_port


def fetch(port: int, host: str = "127.0.0.1") -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{host}:{port}/", timeout=5) as answer:
        return bytes(answer.read())


def answers(port: int, text: bytes, host: str = "127.0.0.1") -> None:
    def check() -> bool:
        with contextlib.suppress(OSError):
            return fetch(port, host) == text
        return False

    eventually(check, f"{host}:{port} does not answer")


def own_address() -> str:
    """An address of this machine that is not on loopback."""
    listed = subprocess.run(
        ["ip", "-4", "-o", "address", "show", "scope", "global"],
        capture_output=True,
        text=True,
        check=True,
    )
    for line in listed.stdout.splitlines():
        if "ct" not in line.split()[1][:2]:
            return line.split()[3].partition("/")[0]
    pytest.skip("this machine has no address of its own")


@contextlib.contextmanager
def neighbour() -> Iterator[tuple[str, str]]:
    """Another machine: a network namespace with a cable to this one; its name and our address."""
    name, ours, theirs = "cortentest", "10.123.45.1", "10.123.45.2"
    commands = [
        f"ip netns add {name}",
        f"ip link add ctest0 type veth peer name eth0 netns {name}",
        f"ip addr add {ours}/24 dev ctest0",
        "ip link set ctest0 up",
        f"ip -n {name} addr add {theirs}/24 dev eth0",
        f"ip -n {name} link set eth0 up",
        f"ip -n {name} link set lo up",
    ]
    try:
        for command in commands:
            subprocess.run(command.split(), check=True)
        yield name, ours
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=False)
        subprocess.run(["ip", "link", "delete", "ctest0"], check=False, stderr=subprocess.DEVNULL)


def test_a_published_port_answers_on_loopback_and_on_the_hosts_address(here: World) -> None:
    record = server(here, "hello", ":80")
    port = host_port(here, record)
    answers(port, b"hello\n")
    answers(port, b"hello\n", own_address())


def test_a_published_port_answers_another_machine_and_an_unpublished_one_does_not(
    here: World,
) -> None:
    record = server(here, "outside", "80")
    answers(host_port(here, record), b"outside\n")
    lease = here.runtime.network.lease(record.id)
    assert lease is not None
    with neighbour() as (name, ours):
        url = f"http://{ours}:{lease.ports[0].host_port}/"
        seen = from_neighbour(name, "wget", "-q", "-O", "-", url)
        assert seen == b"outside\n"
        # Straight to the container's address: dropped, although the neighbour finds the way.
        subprocess.run(["ip", "-n", name, "route", "add", "default", "via", ours], check=True)
        direct = ["wget", "-q", "-O", "-", f"http://{lease.address}:80/"]
        assert from_neighbour(name, *direct) == b""


def from_neighbour(name: str, *command: str) -> bytes:
    return subprocess.run(
        ["ip", "netns", "exec", name, "timeout", "3", "busybox", *command],
        capture_output=True,
        check=False,
        env={"PATH": os.environ["PATH"]},  # no proxy
    ).stdout


def test_a_port_may_be_published_on_one_address_only(here: World) -> None:
    record = server(here, "local", "127.0.0.1::80")
    port = host_port(here, record)
    answers(port, b"local\n")
    with pytest.raises(OSError):
        fetch(port, own_address())


def test_containers_reach_each_other_by_address_and_over_the_host(here: World) -> None:
    record = server(here, "peer", "80")
    lease = here.runtime.network.lease(record.id)
    assert lease is not None
    answers(lease.ports[0].host_port, b"peer\n")
    for url in (f"{lease.address}:80", f"{own_address()}:{lease.ports[0].host_port}"):
        code, output = here.run("wget", "-q", "-O", "-", f"http://{url}/", network="bridge")
        assert (code, output) == (0, b"peer\n"), url


def test_a_container_reaches_itself_over_its_published_port(here: World) -> None:
    record = server(here, "self", "80")
    port = host_port(here, record)
    answers(port, b"self\n")
    url = f"http://{own_address()}:{port}/"
    assert run_exec(here, record, "wget", "-q", "-O", "-", url) == (0, b"self\n")


def test_a_taken_port_is_a_conflict_before_anything_starts(here: World) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        record = here.create("sleep", "60", network="bridge", ports=(PublishedPort(80, port),))
        with pytest.raises(PortTaken, match=str(port)):
            here.start(record)
    assert lifecycle.state(here.runtime, record).status is Status.CREATED
    assert not Path(f"/sys/class/net/{here.runtime.network.bridge}").exists()


def test_a_containers_port_is_taken_for_programs_and_other_roots(
    here: World, tmp_path: Path
) -> None:
    record = server(here, "first", "80")
    port = host_port(here, record)
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("0.0.0.0", port))
        other.listen()
    (tmp_path / "second").mkdir()
    with world(tmp_path / "second") as second:
        with pytest.raises(PortTaken):
            server(second, "second", f"{port}:80")
        # On another port both live side by side, on different subnets.
        twin = server(second, "second", "80")
        answers(host_port(second, twin), b"second\n")
        answers(port, b"first\n")
        leases = [w.runtime.network.lease(r.id) for w, r in ((here, record), (second, twin))]
        assert leases[0] is not None
        assert leases[1] is not None
        subnets = {lease.address.rpartition(".")[0] for lease in leases if lease}
        assert len(subnets) == 2


def test_a_stopped_container_gives_its_port_back(here: World) -> None:
    record = server(here, "one", "80")
    port = host_port(here, record)
    answers(port, b"one\n")
    lifecycle.stop(here.runtime, record, 0)
    again = server(here, "two", f"{port}:80")
    answers(port, b"two\n")
    with pytest.raises(PortTaken):
        here.start(msg_with_port(here, record, port))
    assert host_port(here, again) == port


def msg_with_port(here: World, record: ContainerRecord, port: int) -> ContainerRecord:
    import msgspec

    changed = msgspec.structs.replace(record, ports=(PublishedPort(80, port),))
    here.runtime.containers.update(changed)
    return changed


def free_range(count: int) -> int:
    """The first of `count` free ports in a row, below those that the kernel gives to clients."""
    for base in range(20000, 30000, count):
        with contextlib.ExitStack() as stack:
            try:
                for port in range(base, base + count):
                    bound = stack.enter_context(socket.socket())
                    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    bound.bind(("", port))
                    bound.listen(1)
            except OSError:
                continue
            return base
    raise AssertionError("no free ports")


def test_ranges_are_published_one_by_one(here: World) -> None:
    base = free_range(3)
    ports = parse_port(f"{base}-{base + 2}:7000-7002")
    record = here.create("sleep", "60", network="bridge", ports=ports)
    here.start(record)
    listed = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True)
    for n in range(3):
        assert f"tcp dport {base + n} dnat to" in listed.stdout


def test_udp_is_published_too(here: World) -> None:
    record = here.create("sleep", "60", network="bridge", ports=parse_port("127.0.0.1::53/udp"))
    here.start(record)
    started = read_started(here.runtime.directory(record))
    assert started is not None
    echo = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
        "s.bind(('0.0.0.0', 53))\nwhile True: s.sendto(*s.recvfrom(100))"
    )
    enter = ["nsenter", f"--net=/proc/{started.pid}/ns/net", sys.executable, "-c", echo]
    service = subprocess.Popen(enter)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(0.3)

            def echoed() -> bool:
                with contextlib.suppress(OSError):
                    client.sendto(b"ping", ("127.0.0.1", host_port(here, record)))
                    return client.recv(100) == b"ping"
                return False

            eventually(echoed)
    finally:
        service.kill()
        service.wait()


def test_ipv6_addresses_are_refused_in_words(here: World) -> None:
    record = here.create("true", network="bridge", ports=parse_port("[::1]:8080:80"))
    with pytest.raises(Unsupported, match="IPv6"):
        here.start(record)


def test_the_bridge_and_all_rules_go_with_the_last_container(here: World) -> None:
    bridge = Path(f"/sys/class/net/{here.runtime.network.bridge}")
    first, second = server(here, "a", "80"), server(here, "b", "80")
    answers(host_port(here, first), b"a\n")
    lifecycle.stop(here.runtime, first, 0)
    assert bridge.exists()
    answers(host_port(here, second), b"b\n")
    lifecycle.stop(here.runtime, second, 0)
    assert not bridge.exists()
    listed = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True)
    assert here.runtime.scope not in listed.stdout


def test_hosts_hostname_and_resolver_are_the_containers_own(here: World) -> None:
    code, output = here.run(
        "sh",
        "-c",
        "cat /etc/hostname; hostname; cat /etc/hosts; hostname -i; echo $HOSTNAME",
        network="bridge",
        hostname="web.example",
    )
    lines = output.decode().splitlines()
    assert code == 0
    assert lines[:2] == ["web.example", "web.example"]
    assert any("web.example web" in line for line in lines)
    assert lines[-2].startswith("10.89.")
    assert lines[-1] == "web.example"
    record = here.create("sh", "-c", "cat /etc/hostname /etc/resolv.conf", network="none")
    here.start(record)
    lifecycle.wait(here.runtime, record, 10)
    assert here.log(record).decode() == f"{record.short_id}\n"


def test_etc_files_can_be_written_but_leave_nothing_in_the_layer(here: World) -> None:
    record = here.create("sh", "-c", "echo 1.2.3.4 x >> /etc/hosts; grep -c . /etc/hosts")
    here.start(record)
    assert lifecycle.wait(here.runtime, record, 10) == 0
    changed: list[bytes] = []
    here.snapshots.diff(record.snapshot, changed.append)
    assert not any(b"".join(changed))


def test_the_hosts_network_is_shared_when_asked(here: World) -> None:
    code, output = here.run("sh", "-c", "readlink /proc/self/ns/net; hostname", network="host")
    expected = [str(Path("/proc/self/ns/net").readlink()), socket.gethostname()]
    assert (code, output.decode().split()) == (0, expected)


def test_another_containers_network_is_joined(here: World) -> None:
    first = server(here, "shared")
    eventually(
        lambda: (
            here.run(
                "wget", "-q", "-O", "-", "http://127.0.0.1/", network=f"container:{first.name}"
            )
            == (0, b"shared\n")
        )
    )
    lifecycle.stop(here.runtime, first, 0)
    with pytest.raises(Conflict, match=first.name):
        here.run("true", network=f"container:{first.id}")


def test_many_containers_at_once_get_addresses_of_their_own(here: World) -> None:
    import threading

    records = [here.create("sleep", "60", network="bridge") for _ in range(5)]
    threads = [threading.Thread(target=here.start, args=(record,)) for record in records]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    leases = [here.runtime.network.lease(record.id) for record in records]
    assert len({lease.address for lease in leases if lease}) == 5
