"""Size and speed of compressions on real layers: the base image's, and the tree of 40,000 files."""

from __future__ import annotations

from bench.layers.inputs import Inputs


def table_of(found: Inputs) -> str:
    """The table."""
    raise NotImplementedError(str(found))
