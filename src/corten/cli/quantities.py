"""Sizes and times as people read them, in the words that Docker uses."""

from __future__ import annotations

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_LONG = (
    # up to so many hours, one unit in hours, what it is called
    (48, 1, "hours"),
    (14 * 24, 24, "days"),
    (60 * 24, 7 * 24, "weeks"),
    (730 * 24, 30 * 24, "months"),
)


def counted(number: int, word: str) -> str:
    """``1 layer``, ``2 layers``."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def size(count: int | float, digits: int = 3) -> str:
    """A number of bytes with decimal units: ``0B``, ``1.02kB``, ``12.3MB``, ``187MB``."""
    value = float(count)
    for unit in _UNITS:
        text = f"{value:.{digits}g}"
        # Rounding may reach the next unit: 999,950 bytes are 1MB, not 1e+03kB.
        if "e" not in text and float(text) < 1000:
            return text + unit
        value /= 1000
    return f"{value * 1000:.0f}{_UNITS[-1]}"


def duration(seconds: float) -> str:
    """How long, in one unit: ``Less than a second``, ``About a minute``, ``3 weeks``."""
    whole = int(seconds)
    if whole < 60:
        return (
            "Less than a second" if whole < 1 else "1 second" if whole == 1 else f"{whole} seconds"
        )
    if whole < 3600:
        return "About a minute" if whole < 120 else f"{whole // 60} minutes"
    hours = (whole + 1800) // 3600  # to the nearest; everything longer counts what is complete
    if hours == 1:
        return "About an hour"
    for limit, unit, name in _LONG:
        if hours < limit:
            return f"{hours // unit} {name}"
    return f"{whole // (365 * 86400)} years"


def ago(seconds: float) -> str:
    """`duration` seen from now: ``3 weeks ago``."""
    return duration(seconds) + " ago"


def elapsed(seconds: float) -> str:
    """The running time of a step: ``0.3s``, ``42.1s``, ``3m 02s``, ``1h 03m``."""
    if seconds < 59.95:
        return f"{max(seconds, 0):.1f}s"
    minutes, rest = divmod(int(seconds + 0.5), 60)
    if minutes < 60:
        return f"{minutes}m {rest:02d}s"
    return f"{minutes // 60}h {minutes % 60:02d}m"


def epoch(timestamp: str) -> float | None:
    """Seconds since 1970 of an RFC 3339 time, None for text that is none.

    By hand: the fast commands have no time to import ``datetime``.
    """
    try:
        year, month, day = int(timestamp[:4]), int(timestamp[5:7]), int(timestamp[8:10])
        hour, minute, second = (int(timestamp[at : at + 2]) for at in (11, 14, 17))
        offset = _offset(timestamp[19:].lstrip(".0123456789"))
    except ValueError:
        return None
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    # Days since 1970 in the proleptic Gregorian calendar, years beginning in March.
    shifted = year - (month <= 2)
    leaps = shifted // 4 - shifted // 100 + shifted // 400
    days = 365 * shifted + leaps + (153 * ((month + 9) % 12) + 2) // 5 + day - 719469
    return float(days * 86400 + hour * 3600 + minute * 60 + second - offset)


def _offset(zone: str) -> int:
    """Seconds east of UTC.  Raises: ValueError."""
    if zone in ("", "Z", "z"):
        return 0
    sign = {"+": 1, "-": -1}.get(zone[0])
    if sign is None or len(zone) < 6:
        raise ValueError(zone)
    return sign * (int(zone[1:3]) * 3600 + int(zone[4:6]) * 60)
