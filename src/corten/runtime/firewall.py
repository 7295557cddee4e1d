"""The packet filter rules of one root's bridge: text for nft(8), a function of the leases.

All rules of a root are one table of its own, replaced as a whole in one
transaction.  So there is nothing to be undone step by step, what a crash left is
put right by the next change, and the table of another root, of podman, docker or the
administrator is never touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from corten.runtime.ports import PublishedPort

Target = tuple[PublishedPort, str]
"""A published port and the address of its container."""


def table_name(scope: str) -> str:
    """The name of the root's table."""
    return f"corten_{scope}"


def delete_table(scope: str) -> str:
    """Commands that remove the root's table, whether it is there or not."""
    name = table_name(scope)
    return f"table ip {name}\ndelete table ip {name}\n"


def replace_table(scope: str, bridge: str, subnet: str, targets: Iterable[Target]) -> str:
    """Commands that make the root's table what these published ports need."""
    redirects = "\n".join(f"    {rule}" for rule in _redirects(targets))
    return f"""{delete_table(scope)}table ip {table_name(scope)} {{
  chain published {{
{redirects}
  }}
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local jump published
  }}
  chain output {{
    type nat hook output priority -100; policy accept;
    fib daddr type local jump published
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname != "{bridge}" ip saddr {subnet} masquerade
    oifname "{bridge}" ip saddr 127.0.0.0/8 masquerade
    oifname "{bridge}" ip saddr {subnet} ct status dnat masquerade
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    oifname "{bridge}" iifname != "{bridge}" ct state established,related accept
    oifname "{bridge}" iifname != "{bridge}" ct status dnat accept
    oifname "{bridge}" iifname != "{bridge}" drop
  }}
}}
"""


def _redirects(targets: Iterable[Target]) -> Iterator[str]:
    # Rules for one address come before those for all: the first that matches wins.
    for port, address in sorted(targets, key=lambda target: not target[0].host_ip):
        where = f"ip daddr {port.host_ip} " if port.host_ip not in {"", "0.0.0.0"} else ""  # noqa: S104
        yield (
            f"{where}{port.protocol} dport {port.host_port} dnat to {address}:{port.container_port}"
        )
