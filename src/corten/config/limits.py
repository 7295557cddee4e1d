"""Limits that protect a host from what it fetches, and how to raise them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from corten.errors import Usage

LAYER_LIMIT = 4 << 30
"""Up to how many bytes a layer may expand however few came; beyond, a ratio holds."""

MERGE_LIMIT = 1_000_000
"""Up to how many files of layers that share directories become one index (memory: some 400 bytes
for each); beyond, the layers are mounted one by one."""

_SIZE = r"([0-9]{1,15})([KMGT]?)(?:i?B)?"
_UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}


def layer_limit(environ: Mapping[str, str]) -> int:
    """``CORTEN_LAYER_LIMIT`` in bytes: a number, perhaps with K, M, G or T (powers of 1024).

    Raises: Usage: it is no size.
    """
    text = environ.get("CORTEN_LAYER_LIMIT", "")
    if not text:
        return LAYER_LIMIT
    found = re.fullmatch(_SIZE, text.strip(), re.ASCII | re.IGNORECASE)
    if found is None:
        raise Usage(f"CORTEN_LAYER_LIMIT is {text!r}, not a size", hint="for example 64G")
    return int(found[1]) << _UNITS[found[2].upper()]


def merge_limit(environ: Mapping[str, str]) -> int:
    """``CORTEN_MERGE_LIMIT``, a number of files.  Raises: Usage: it is none."""
    text = environ.get("CORTEN_MERGE_LIMIT", "")
    if not text:
        return MERGE_LIMIT
    if re.fullmatch("[0-9]{1,15}", text.strip(), re.ASCII) is None:
        raise Usage(f"CORTEN_MERGE_LIMIT is {text!r}, not a number", hint="for example 5000000")
    return int(text)
