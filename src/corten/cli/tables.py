"""Tables like Docker's: left-aligned columns, three spaces apart, at least ten wide."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_GAP, _NARROWEST = 3, 10


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The table as text, every line with its end.  An empty `header` leaves that line out."""
    lines = [tuple(header)] if header else []
    lines += [tuple(row) for row in rows]
    if not lines:
        return ""
    columns = range(len(lines[0]) - 1)  # the last column needs no filling
    widths = [max(_NARROWEST, max(len(line[at]) for line in lines) + _GAP) for at in columns]
    text = []
    for line in lines:
        cells = [line[at].ljust(widths[at]) for at in columns]
        text.append(("".join(cells) + line[-1]).rstrip() + "\n")
    return "".join(text)
