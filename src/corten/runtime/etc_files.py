"""``/etc/hosts``, ``/etc/hostname`` and ``/etc/resolv.conf`` of a container."""

from __future__ import annotations

import ipaddress
from pathlib import Path

HOST_RESOLV_CONF = Path("/etc/resolv.conf")
# What lies behind a resolver on loopback, where systemd-resolved runs one.
UPSTREAM_RESOLV_CONF = Path("/run/systemd/resolve/resolv.conf")
_LOOPBACK_NAMES = """127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
"""


def hosts_text(hostname: str, address: str = "", host_file: str = "") -> str:
    """``/etc/hosts``: loopback (or `host_file`, for the host's network) and the container's own name."""
    text = host_file or _LOOPBACK_NAMES
    if text and not text.endswith("\n"):
        text += "\n"
    names = hostname.partition(".")[0]
    line = hostname if names == hostname else f"{hostname} {names}"
    return f"{text}{address or '127.0.1.1'}\t{line}\n"


def resolv_conf_text(own_network: bool) -> str:
    """The host's ``/etc/resolv.conf``, for a container on a network of its own if `own_network`."""
    text = _read(HOST_RESOLV_CONF)
    if not own_network:
        return text
    kept = without_loopback(text)
    if "nameserver" not in kept:
        kept = without_loopback(_read(UPSTREAM_RESOLV_CONF)) or kept
    return kept


def without_loopback(text: str) -> str:
    """Drop name servers on loopback addresses: from another network they cannot be reached."""
    return "".join(line for line in text.splitlines(keepends=True) if not _on_loopback(line))


def _on_loopback(line: str) -> bool:
    fields = line.split()
    if len(fields) < 2 or fields[0] != "nameserver":
        return False
    try:
        return ipaddress.ip_address(fields[1].partition("%")[0]).is_loopback
    except ValueError:
        return False


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
