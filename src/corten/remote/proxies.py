"""Which way out: the proxy that the environment names, or none; connections by it."""

from __future__ import annotations

import ipaddress
from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from corten.errors import Invalid
from corten.wire.hosts import Number, hostname, is_loopback, number

if TYPE_CHECKING:
    from urllib3 import PoolManager

_DEFAULT_PORTS = {"http": 80, "https": 443}


def proxy_for(url: str, environ: Mapping[str, str]) -> str:
    """The URL of the proxy for `url` (``https_proxy``, ``all_proxy``, …); empty: none.

    Loopback is never reached by a proxy; ``no_proxy`` lists names, their
    suffixes, addresses and networks, each perhaps with a port.  Raises: Invalid:
    the proxy is no URL of http or https.
    """
    parts = urlsplit(url)
    if is_loopback(parts.netloc):
        return ""
    proxy = _setting(environ, f"{parts.scheme}_proxy") or _setting(environ, "all_proxy")
    if not proxy or _excluded(parts.netloc, parts.scheme, _setting(environ, "no_proxy")):
        return ""
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    if not proxy.startswith(("http://", "https://")):
        raise Invalid(
            f"proxy {proxy.partition('://')[0]}://… is of a kind that corten does not speak",
            hint=f"set {parts.scheme}_proxy to an http:// or https:// URL",
        )
    return proxy


def pool_for(proxy: str, **options: Any) -> PoolManager:
    """Connections by a proxy that `proxy_for` gave, which gets the name and password in its URL.

    `options` are those of urllib3's pools.
    """
    import urllib3

    if not proxy:
        return urllib3.PoolManager(**options)
    login = urlsplit(proxy).netloc.rpartition("@")[0]
    if login:
        user, _, password = login.partition(":")
        basic = b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
        options["proxy_headers"] = {"proxy-authorization": f"Basic {basic}"}
    return urllib3.ProxyManager(proxy, **options)


def _setting(environ: Mapping[str, str], name: str) -> str:
    """A variable in lower case or else in upper case."""
    return environ.get(name) or environ.get(name.upper(), "")


def _excluded(address: str, scheme: str, no_proxy: str) -> bool:
    name = hostname(address)
    port = urlsplit(f"//{address}").port or _DEFAULT_PORTS.get(scheme)
    address_number = number(name)
    for entry in filter(None, (part.strip().lower() for part in no_proxy.split(","))):
        if entry == "*":
            return True
        if address_number is not None and "/" in entry:
            if _in_network(address_number, entry):
                return True
            continue
        host, colon, wanted = entry.rpartition(":") if entry.count(":") == 1 else (entry, "", "")
        if colon and wanted != str(port):
            continue
        suffix = host.strip("[]").removeprefix("*").removeprefix(".")
        if name == suffix or (address_number is None and name.endswith(f".{suffix}")):
            return True
    return False


def _in_network(address: Number, network: str) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
