"""``--add-host`` of builds: names that steps find in ``/etc/hosts``."""

from __future__ import annotations

import ipaddress
import re

from corten.errors import Invalid

GATEWAY = "host-gateway"
"""Stands for this machine; steps share its network, so that is the loopback address."""
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?", re.ASCII)


def parse_host(text: str) -> str:
    """``NAME:ADDRESS`` or ``NAME=ADDRESS`` as ``NAME=ADDRESS``.  Raises: Invalid."""
    name, separator, address = text.partition("=")
    if not separator:
        name, _, address = text.partition(":")
    if not _NAME.fullmatch(name):
        raise Invalid(f"--add-host {text!r} names no host", hint="--add-host NAME:ADDRESS")
    if address == GATEWAY:
        return f"{name}=127.0.0.1"
    try:
        return f"{name}={ipaddress.ip_address(address.strip('[]'))}"
    except ValueError:
        raise Invalid(
            f"--add-host {text!r}: {address!r} is no IP address", hint="--add-host NAME:ADDRESS"
        ) from None
