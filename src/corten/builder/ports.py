"""Small grammars of Dockerfile values: ports to expose, signals.  Pure."""

from __future__ import annotations

import re

from corten.errors import Invalid

_PORTS = re.compile(r"(?:[^/]*:)?(\d{1,5})(?:-(\d{1,5}))?(?:/([A-Za-z]+))?", re.ASCII)
_PROTOCOLS = ("tcp", "udp", "sctp")
_SIGNALS = frozenset(
    [
        "HUP",
        "INT",
        "QUIT",
        "ILL",
        "TRAP",
        "ABRT",
        "IOT",
        "BUS",
        "FPE",
        "KILL",
        "USR1",
        "SEGV",
        "USR2",
        "PIPE",
        "ALRM",
        "TERM",
        "STKFLT",
        "CHLD",
        "CLD",
        "CONT",
        "STOP",
        "TSTP",
        "TTIN",
        "TTOU",
        "URG",
        "XCPU",
        "XFSZ",
        "VTALRM",
        "PROF",
        "WINCH",
        "IO",
        "POLL",
        "PWR",
        "SYS",
        "RTMIN",
        "RTMAX",
    ]
)
_REALTIME = re.compile(r"RTM(?:IN\+|AX-)(\d{1,2})", re.ASCII)


def exposed(text: str) -> list[str]:
    """``80``, ``53/udp``, ``8000-8002`` as ``PORT/PROTOCOL`` each.  Raises: Invalid."""
    match = _PORTS.fullmatch(text)
    if match is None:
        raise Invalid(f"{text!r} is not a port", hint="write it as 80, 53/udp or 8000-8010/tcp")
    first, last = int(match[1]), int(match[2] or match[1])
    protocol = (match[3] or "tcp").lower()
    if protocol not in _PROTOCOLS:
        raise Invalid(f"{protocol!r} is not a protocol", hint=f"one of {', '.join(_PROTOCOLS)}")
    if not 0 < first <= last <= 65535:
        raise Invalid(f"port {text!r} is out of range", hint="ports are 1 to 65535")
    return [f"{port}/{protocol}" for port in range(first, last + 1)]


def is_signal(text: str) -> bool:
    """Whether it is a signal of Linux: a name with or without ``SIG``, or a number."""
    if text.isascii() and text.isdigit():
        return len(text) < 3 and 0 < int(text) <= 64
    name = text.upper().removeprefix("SIG")
    realtime = _REALTIME.fullmatch(name)
    return name in _SIGNALS or (realtime is not None and int(realtime[1]) <= 30)
