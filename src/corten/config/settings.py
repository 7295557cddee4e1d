"""Settings as one frozen value, read once at the edge and passed down."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from corten.config.limits import LAYER_LIMIT, MERGE_LIMIT, layer_limit, merge_limit
from corten.config.root import default_root
from corten.errors import Usage


class Settings(NamedTuple):
    """All that a command may be told from outside, after flags, environment and defaults."""

    root: Path
    """Everything that corten keeps lies under it, so that two roots never meet.  Absolute."""
    storage_driver: str = ""
    """``erofs``, ``overlay`` or empty: choose by probing."""
    layer_limit: int = LAYER_LIMIT
    """Up to how many bytes a layer may expand however few came (docs/adr/0010)."""
    merge_limit: int = MERGE_LIMIT
    """How many files of an image's layers may be looked at to make one index of them (docs/adr/0008)."""

    @classmethod
    def load(cls, environ: Mapping[str, str], root: str | None = None) -> Settings:
        """Settings from flags (not None) over the environment over the defaults.

        Raises: Usage: a root directory that the programs corten starts cannot take; a limit
        that is no size.
        """
        # What is kept under it (bundles, mounts) names it from elsewhere.
        path = (Path(root) if root else default_root(environ)).absolute()
        if ":" in str(path):
            # conmon and crun take what follows it for something else, and write elsewhere.
            raise Usage(f"the root directory {path} has a colon in it", hint="choose another one")
        return cls(
            root=path,
            storage_driver=environ.get("CORTEN_STORAGE_DRIVER", ""),
            layer_limit=layer_limit(environ),
            merge_limit=merge_limit(environ),
        )
