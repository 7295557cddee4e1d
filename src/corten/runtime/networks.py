"""Networks of containers: a bridge a root, addresses, published ports.

Modes: ``host`` (the host's network), ``none`` (loopback alone), ``bridge`` and
``container:<id>`` (another container's).

The network namespace of a container on the bridge is pinned by a mount in the
mount namespace that its monitor lives in: it, and with it the pair of interfaces, goes
when the monitor does, however that ends.  What remains to be given back is the
address and the rules: both are written in one file, ROOT/networks/bridge.json.
When its last lease goes, so do bridge and rules.

Why not netavark: release 1.4 of Debian 12 leaves its chains in the host's tables
when its last container goes, and cannot tear down what belongs to a network namespace that
died with a crash; ip(8) and nft(8) do the same in a third of the time.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import ipaddress
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from corten.errors import Conflict, Unsupported
from corten.runtime.containers import write_json
from corten.runtime.firewall import delete_table, replace_table
from corten.runtime.ports import PublishedPort
from corten.system.mount import mount_options
from corten.system.process import HelperFailed, check_program, find_program, run_program

CLONE_NEWNET = 0x40000000
_ROUTES = Path("/proc/net/route")
_IPV4 = Path("/proc/sys/net/ipv4")
POOL = ipaddress.IPv4Network("10.89.0.0/16")
"""Where subnets of bridges come from: 256 of 254 addresses."""

_libc = ctypes.CDLL(None, use_errno=True)


class Lease(msgspec.Struct, frozen=True):
    """The address of one container and the ports published for it."""

    address: str
    ports: tuple[PublishedPort, ...] = ()


class Leases(msgspec.Struct):
    """The file of one root's bridge; ``last`` is the host part of the address given last."""

    subnet: str = ""
    last: int = 1
    leases: dict[str, Lease] = msgspec.field(default_factory=dict)


class BridgeNetwork:
    """The bridge of the root directory `root`; `scope` tells its interfaces from other roots'."""

    def __init__(self, root: Path, scope: str) -> None:
        self._path = root / "networks"
        self._scope = scope
        self.bridge = f"ctn{scope}"

    def lease(self, container: str) -> Lease | None:
        """What the container holds."""
        return self._read().leases.get(container)

    def connect(
        self, container: str, pid: int, ports: Sequence[PublishedPort]
    ) -> tuple[Lease, Callable[[], None]]:
        """Take an address and make the bridge and rules.

        Returns the lease and what has to be called in the new network namespace,
        with `pid` a process in the host's.  Raises: Unsupported: an IPv6 host
        address; Conflict: no address or subnet is free; HelperFailed.
        """
        if any(":" in port.host_ip for port in ports):
            raise Unsupported(
                "ports cannot be published on IPv6 addresses", hint="give an IPv4 one"
            )
        with self._edit() as state:
            network = self._make_bridge(state)
            lease = Lease(free_address(state, network), tuple(ports))
            state.leases[container] = lease
            try:
                self._apply_rules(state)
            except BaseException:
                del state.leases[container]
                if not state.leases:
                    run_program([find_program("ip"), "link", "delete", self.bridge])
                raise
        outer = interface_name(self._scope, lease.address)
        gateway = str(network[1])

        def enter() -> None:
            inside = (
                f"link set lo up\n"
                f"link add eth0 type veth peer name {outer} netns {pid}\n"
                f"address add {lease.address}/{network.prefixlen} broadcast + dev eth0\n"
                f"link set eth0 up\nroute add default via {gateway}\n"
            )
            check_program([find_program("ip"), "-batch", "-"], stdin=inside.encode())

        return lease, enter

    def plug(self, lease: Lease) -> None:
        """Connect the host's end of the container's pair to the bridge.  Raises: HelperFailed."""
        outer = interface_name(self._scope, lease.address)
        # Hairpin: a container may reach itself over the host's port, where bridged
        # packets are filtered too (br_netfilter) and would have to leave as they came.
        plugged = (
            f"link set {outer} master {self.bridge} up\n"
            f"link set {outer} type bridge_slave hairpin on\n"
        )
        check_program([find_program("ip"), "-batch", "-"], stdin=plugged.encode())

    def release(self, container: str) -> None:
        """Give back the container's address and rules; the last one takes the bridge along."""
        if self.lease(container) is None:
            return
        with self._edit() as state:
            lease = state.leases.pop(container, None)
            if lease is None:
                return
            gone = [interface_name(self._scope, lease.address)]
            if state.leases:
                self._apply_rules(state)
            else:
                self._forget_strict_forwarding()
                gone.append(self.bridge)
            self._delete(gone, rules=not state.leases)

    def _make_bridge(self, state: Leases) -> ipaddress.IPv4Network:
        there = _interface_exists(self.bridge)
        if state.subnet and (there or self._is_free(state.subnet)):
            network = ipaddress.IPv4Network(state.subnet)
        else:
            network = choose_subnet(self._scope, _ROUTES.read_text())
            state.subnet, state.last = str(network), 1
        if not there:
            bridge = self.bridge
            made = (
                f"link add {bridge} type bridge\n"
                f"address add {network[1]}/{network.prefixlen} broadcast + dev {bridge}\n"
                f"link set {bridge} up\n"
            )
            check_program([find_program("ip"), "-batch", "-"], stdin=made.encode())
            # Published ports answer on 127.0.0.1 too: such packets may go to the bridge.
            _IPV4.joinpath("conf", bridge, "route_localnet").write_text("1")
            if _IPV4.joinpath("ip_forward").read_text().strip() == "0":
                _IPV4.joinpath("ip_forward").write_text("1")
            self._pass_strict_forwarding()
        return network

    def _is_free(self, subnet: str) -> bool:
        network = ipaddress.IPv4Network(subnet)
        return not any(network.overlaps(route) for route in routes(_ROUTES.read_text()))

    def _apply_rules(self, state: Leases) -> None:
        targets = [(port, lease.address) for lease in state.leases.values() for port in lease.ports]
        rules = replace_table(self._scope, self.bridge, state.subnet, targets)
        check_program([find_program("nft"), "-f", "-"], stdin=rules.encode())

    def _delete(self, interfaces: Sequence[str], *, rules: bool) -> None:
        """Remove interfaces (those that are there) and all rules, side by side.

        The kernel waits for its readers at each of these, which takes most of the time.
        """
        ip = find_program("ip")
        names = [name for name in interfaces if _interface_exists(name)]
        running = [
            subprocess.Popen([ip, "link", "delete", name], stderr=subprocess.DEVNULL)
            for name in names
        ]
        try:
            if rules:
                text = delete_table(self._scope)
                check_program([find_program("nft"), "-f", "-"], stdin=text.encode())
        finally:
            # An interface that went meanwhile, with its namespace, is no failure.
            statuses = [process.wait() for process in running]
        for name, status in zip(names, statuses, strict=True):
            if status != 0 and _interface_exists(name):
                raise HelperFailed("ip", status, f"cannot delete interface {name}")

    def _pass_strict_forwarding(self) -> None:
        """Where another table drops what is forwarded (docker's does), let the bridge pass there."""
        nft = find_program("nft")
        listed = run_program([nft, "list", "chain", "ip", "filter", "FORWARD"])
        if listed.status != 0 or b"policy drop" not in listed.stdout:
            return
        for side in ("iifname", "oifname"):
            rule = f'insert rule ip filter FORWARD {side} "{self.bridge}" accept\n'
            check_program([nft, "-f", "-"], stdin=rule.encode())

    def _forget_strict_forwarding(self) -> None:
        nft = find_program("nft")
        listed = run_program([nft, "-a", "list", "chain", "ip", "filter", "FORWARD"])
        for line in listed.stdout.decode("utf-8", "replace").splitlines():
            if f'"{self.bridge}"' in line and "# handle " in line:
                handle = line.rpartition(" ")[2]
                run_program([nft, "delete", "rule", "ip", "filter", "FORWARD", "handle", handle])

    def _read(self) -> Leases:
        try:
            raw = (self._path / "bridge.json").read_bytes()
            return msgspec.json.decode(raw, type=Leases)
        except FileNotFoundError:
            return Leases()
        except (msgspec.MsgspecError, UnicodeDecodeError):
            # Addresses in use are found by their interfaces; better start anew than stay stuck.
            return Leases()

    @contextlib.contextmanager
    def _edit(self) -> Iterator[Leases]:
        """The leases, locked; what was changed is kept if the block ends well."""
        self._path.mkdir(parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            state = self._read()
            yield state
            write_json(self._path / "bridge.json", state)
        finally:
            os.close(fd)


def interface_name(scope: str, address: str) -> str:
    """The host's end of a container's pair of interfaces: at most 15 characters, unique here."""
    return f"ctv{scope}{int(address.rsplit('.', 1)[1]):02x}"


def new_namespace(pin: Path, enter: Callable[[], None]) -> None:
    """Make a network namespace, call `enter` in it, and pin it by a mount on the file `pin`.

    To be called in a thread with mounts of its own; the thread is back in the
    host's network afterwards.  Raises: Unsupported; what `enter` raises.
    """
    pin.touch(mode=0o600)
    here = "/proc/thread-self/ns/net"
    before = os.open(here, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("unshare", CLONE_NEWNET)
        try:
            mount_options("bind", here, str(pin), ())
            enter()
        finally:
            _call("setns", before, CLONE_NEWNET)
    finally:
        os.close(before)


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise Unsupported(f"cannot make a network namespace: {name}: {reason}")


def free_address(state: Leases, network: ipaddress.IPv4Network) -> str:
    """The next address of `network` that nobody has.  Raises: Conflict: there is none."""
    taken = {lease.address for lease in state.leases.values()}
    size = network.num_addresses
    # Round robin: an address just given back still sits in neighbours' tables.
    for step in range(1, size):
        number = (state.last + step) % size
        address = str(network[number])
        if 2 <= number < size - 1 and address not in taken:
            state.last = number
            return address
    raise Conflict(f"no free address in {network}", hint="remove containers that are not needed")


def choose_subnet(scope: str, table: str) -> ipaddress.IPv4Network:
    """A subnet of the pool that no route of the host's `table` leads into.

    Where the search begins depends on the root, so that two that begin together
    do not choose the same.  Raises: Conflict: none is free.
    """
    taken = routes(table)
    subnets = list(POOL.subnets(new_prefix=24))
    first = int(scope, 16) % len(subnets)
    for subnet in subnets[first:] + subnets[:first]:
        if not any(subnet.overlaps(route) for route in taken):
            return subnet
    raise Conflict(f"no free subnet in {POOL}", hint="use --network host or none")


def routes(text: str) -> list[ipaddress.IPv4Network]:
    """Destinations in ``/proc/net/route``, without default routes.  Numbers are little-endian."""
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        target, mask = (int.from_bytes(bytes.fromhex(fields[n]), "little") for n in (1, 7))
        if mask:
            found.append(ipaddress.IPv4Network((target, mask.bit_count()), strict=False))
    return found


def _interface_exists(name: str) -> bool:
    return Path("/sys/class/net", name).exists()
