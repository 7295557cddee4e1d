"""Addresses of hosts: ``host[:port]`` as people write it, and which of them are loopback."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from corten.errors import Invalid

Number = ipaddress.IPv4Address | ipaddress.IPv6Address


def hostname(address: str) -> str:
    """The name or number in ``host[:port]``, in lower case and without brackets."""
    try:
        return urlsplit(f"//{address}").hostname or ""
    except ValueError:
        return ""


def number(name: str) -> Number | None:
    """A name that is an address; None: it is a name."""
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def is_loopback(address: str) -> bool:
    """Whether ``host[:port]`` is the machine's own loopback, by name or number."""
    name = hostname(address) or address
    if name == "localhost" or name.endswith(".localhost"):
        return True
    found = number(name)
    return found is not None and found.is_loopback


def split_address(text: str, default_port: int) -> tuple[str, int]:
    """Host and port of ``host:port``, ``:port``, ``host`` or ``[v6]:port``.

    An empty host means all addresses.  Raises: Invalid.
    """
    try:
        parts = urlsplit(f"//{text}")
        port = parts.port
        host = parts.hostname or ""
    except ValueError as error:
        raise Invalid(f"{text!r} is no address: {error}", hint="write host:port") from error
    if parts.netloc != text or "@" in text:
        raise Invalid(f"{text!r} is no address", hint="write host:port")
    return host, default_port if port is None else port
