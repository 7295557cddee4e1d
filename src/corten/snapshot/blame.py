"""Errors about what a layer holds name the layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from corten.errors import Corrupt, Invalid, Unsupported
from corten.oci.digest import Digest


@contextmanager
def in_layer(digest: Digest) -> Iterator[None]:
    """Put the layer before the message of errors about content that pass through the block."""
    try:
        yield
    except (Invalid, Unsupported, Corrupt) as error:
        if not error.message.startswith("layer "):
            error.message = f"layer {digest.short}: {error.message}"
        raise
