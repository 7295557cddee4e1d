"""Durations as Go writes them: ``1h30m``, ``1.5s``, ``300ms``."""

from __future__ import annotations

import re
from fractions import Fraction

from corten.errors import Invalid

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(r"(\d{1,12}(?:\.\d{0,12})?|\.\d{1,12})(ns|us|µs|ms|s|m|h)", re.ASCII)


def parse_duration(text: str) -> int:
    """Nanoseconds.  Raises: Invalid: no duration, or a negative one."""
    if text == "0":
        return 0
    total, at = Fraction(0), 0
    while at < len(text):
        match = _PART.match(text, at)
        if match is None:
            break
        total += Fraction(match[1] if match[1][0] != "." else f"0{match[1]}") * _UNITS[match[2]]
        at = match.end()
    if not text or at < len(text) or total >= 2**63:
        raise Invalid(f"{text!r} is not a duration", hint="write it as 30s, 1m30s or 500ms")
    return int(total)
