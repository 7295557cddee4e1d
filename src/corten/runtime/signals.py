"""Signal names as images and command lines write them."""

from __future__ import annotations

import signal

from corten.errors import Invalid


def signal_number(text: str) -> int:
    """``SIGTERM``, ``term``, ``15``, ``SIGRTMIN+3`` as a number; empty: SIGTERM.  Raises: Invalid."""
    name = text.strip().upper()
    if not name:
        return signal.SIGTERM
    if name.isascii() and name.isdigit() and len(name) <= 2:
        number = int(name)
    else:
        base, plus, offset = name.removeprefix("SIG").partition("+")
        member = signal.Signals.__members__.get(f"SIG{base}")
        if member is None or (plus and not (offset.isascii() and offset.isdigit())):
            raise Invalid(f"unknown signal {text!r}", hint="for example SIGTERM or 15")
        number = member + (int(offset[:2]) if plus else 0)
    if not 1 <= number <= signal.SIGRTMAX:
        raise Invalid(f"signal {text!r} is out of range", hint=f"1 to {int(signal.SIGRTMAX)}")
    return number
