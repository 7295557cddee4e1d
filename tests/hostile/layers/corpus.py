"""All hostile layers that are small enough to try every way in; the large ones are in `bombs`."""

from __future__ import annotations

from hostile.layers import climbing, headers, linking, nodes, sparse, streams, whiteouts
from hostile.layers.case import Case

PLAIN: dict[str, Case] = {
    case.name: case
    for theme in (climbing, linking, whiteouts, nodes, headers, sparse)
    for case in theme.CASES
}
"""Layers that are tars as they are."""
COMPRESSED: dict[str, Case] = {case.name: case for case in streams.CASES}
"""Layers whose trick is in the compression."""
EVERY: dict[str, Case] = {**PLAIN, **COMPRESSED}
