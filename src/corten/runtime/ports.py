"""Published ports: ``-p [ip:]host:container[/protocol]``, and reserving them on the host.

A published port is also bound by a socket that lives as long as the container:
so it cannot be given twice, to a container of any root or to any other program,
and the error comes before anything is started.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from corten.errors import Conflict, Denied, Invalid

if TYPE_CHECKING:
    import socket

PROTOCOLS = ("tcp", "udp", "sctp")
_FORM = (
    r"(?:(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<ip>[0-9]+\.[0-9.]+)):)?"
    r"(?:(?P<host>[0-9]*(?:-[0-9]+)?):)?"
    r"(?P<container>[0-9]+(?:-[0-9]+)?)(?:/(?P<protocol>[a-z]+))?"
)
_HINT = "the form is [IP:]HOSTPORT:CONTAINERPORT[/tcp|udp], for example 8080:80"


class PublishedPort(msgspec.Struct, frozen=True):
    """One port of the container that the host answers for.

    ``host_port`` 0: any free one; ``host_ip`` empty: every address.
    """

    container_port: int
    host_port: int = 0
    host_ip: str = ""
    protocol: str = "tcp"

    def __str__(self) -> str:
        ip = f"[{self.host_ip}]" if ":" in self.host_ip else self.host_ip or "0.0.0.0"  # noqa: S104
        return f"{ip}:{self.host_port}->{self.container_port}/{self.protocol}"


class PortTaken(Conflict):
    """The host's port is in use.  ``port`` names it."""

    def __init__(self, port: PublishedPort) -> None:
        where = f"{port.host_ip}:{port.host_port}" if port.host_ip else str(port.host_port)
        super().__init__(
            f"port {where}/{port.protocol} is in use already",
            hint="stop what uses it, or publish another host port",
        )
        self.port = port


def parse_port(text: str) -> tuple[PublishedPort, ...]:
    """The ports that one ``-p`` names: several if it gives a range.  Raises: Invalid."""
    match = re.fullmatch(_FORM, text)
    if match is None:
        raise Invalid(f"{text!r} does not name a port to publish", hint=_HINT)
    protocol = match["protocol"] or "tcp"
    if protocol not in PROTOCOLS:
        raise Invalid(f"unknown protocol {protocol!r} in {text!r}", hint="tcp, udp or sctp")
    ip = match["six"] or match["ip"] or ""
    if ip:
        import ipaddress

        try:
            ip = str(ipaddress.ip_address(ip))
        except ValueError:
            raise Invalid(f"{ip!r} in {text!r} is not an IP address", hint=_HINT) from None
    inside = _ports(match["container"], text)
    # Host port 0 asks for any free one, as a socket's does.
    any_free = not (match["host"] or "").strip("0")
    outside = range(0) if any_free else _ports(match["host"], text)
    if outside and len(outside) != len(inside):
        raise Invalid(f"the two ranges in {text!r} differ in length", hint=_HINT)
    return tuple(
        PublishedPort(port, outside[n] if outside else 0, ip, protocol)
        for n, port in enumerate(inside)
    )


def _ports(text: str, whole: str) -> range:
    first, _, last = text.partition("-")
    if not first or len(first) > 5 or len(last) > 5:
        raise Invalid(f"{whole!r} does not name a port to publish", hint=_HINT)
    low, high = int(first), int(last or first)
    if not 1 <= low <= high <= 65535:
        raise Invalid(f"port {text} in {whole!r} is out of range", hint="1 to 65535, upwards")
    return range(low, high + 1)


class Reservation:
    """Host ports bound for a container: ``ports`` with every host port filled in.

    ``descriptors`` are handed to the process that shall hold them; the context
    manager closes ours.
    """

    def __init__(self, ports: Sequence[PublishedPort]) -> None:
        """Raises: PortTaken; Denied: not allowed to bind; Invalid: not an address of this host."""
        self._sockets: list[socket.socket] = []
        try:
            self.ports = tuple(self._bind(port) for port in ports)
        except BaseException:
            self.close()
            raise

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Descriptors of the bound sockets."""
        return tuple(bound.fileno() for bound in self._sockets)

    def close(self) -> None:
        """Close our descriptors; the port stays bound where another process has them."""
        for bound in self._sockets:
            bound.close()
        self._sockets.clear()

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _bind(self, port: PublishedPort) -> PublishedPort:
        import socket

        family = socket.AF_INET6 if ":" in port.host_ip else socket.AF_INET
        kind, protocol = {
            "tcp": (socket.SOCK_STREAM, 0),
            "udp": (socket.SOCK_DGRAM, 0),
            "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
        }[port.protocol]
        try:
            bound = socket.socket(family, kind, protocol)
        except OSError as error:
            raise Invalid(
                f"cannot publish {port.protocol}: {os.strerror(error.errno or 0)}"
            ) from None
        self._sockets.append(bound)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            # Connections of an earlier container in TIME_WAIT must not hold us up;
            # listening is what keeps others with this option away.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((port.host_ip, port.host_port))
            if kind == socket.SOCK_STREAM:
                bound.listen(1)
        except OSError as error:
            raise _refused(port, error) from None
        return msgspec.structs.replace(port, host_port=bound.getsockname()[1])


def _refused(port: PublishedPort, error: OSError) -> Exception:
    if error.errno == errno.EADDRINUSE:
        return PortTaken(port)
    if error.errno == errno.EADDRNOTAVAIL:
        return Invalid(f"{port.host_ip} is not an address of this host")
    if error.errno in {errno.EACCES, errno.EPERM}:
        return Denied(f"not allowed to publish port {port.host_port}", hint="use one above 1023")
    return error
