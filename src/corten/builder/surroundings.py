"""What a RUN step gets from this machine for its own time only: network files, proxies, certificates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from corten.builder.scope import PROXIES
from corten.runtime.protocols import Bind

CERTIFICATES = "/dev/.corten/ca-certificates.crt"
"""In /dev, which is a file system of its own in a container and so in no layer."""

HOST_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"

_BUNDLE_VARIABLES = (
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
)


class Surroundings(NamedTuple):
    """What is added to a step; none of it is in a cache key, an image or a layer."""

    env: tuple[str, ...] = ()
    binds: tuple[Bind, ...] = ()
    resolv_conf: str = ""
    hosts: str = ""


def surroundings(
    env: Sequence[str], network: str, given: Mapping[str, str], environ: Mapping[str, str]
) -> Surroundings:
    """What a step with `env` gets.

    `given` are build arguments, whose proxies come before those of the host's
    `environ`.  What the step's own environment sets is left alone.
    """
    taken = {entry.partition("=")[0] for entry in env}
    added: dict[str, str] = {}
    for name in PROXIES:
        value = given.get(name) or environ.get(name)
        if value and name not in taken:
            added[name] = value
    binds: tuple[Bind, ...] = ()
    bundle = environ.get("SSL_CERT_FILE") or HOST_BUNDLE
    if Path(bundle).is_file():
        binds = (Bind(target=CERTIFICATES, source=str(Path(bundle).resolve()), readonly=True),)
        added |= {name: CERTIFICATES for name in _BUNDLE_VARIABLES if name not in taken}
    host = network == "host"
    return Surroundings(
        tuple(f"{name}={value}" for name, value in added.items()),
        binds,
        _existing("/etc/resolv.conf") if host else "",
        _existing("/etc/hosts") if host else "",
    )


def _existing(path: str) -> str:
    return path if Path(path).is_file() else ""
