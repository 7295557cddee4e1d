"""Where corten keeps everything.  Alone in its module: the fast start-up path needs only this."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SYSTEM_ROOT = "/var/lib/corten"


def default_root(environ: Mapping[str, str]) -> Path:
    """`root_directory` as a path."""
    from pathlib import Path

    return Path(root_directory(environ))


def root_directory(environ: Mapping[str, str]) -> str:
    """``CORTEN_ROOT``, else the system's directory for root, else the user's data directory."""
    if environ.get("CORTEN_ROOT"):
        return environ["CORTEN_ROOT"]
    home = environ.get("HOME", "")
    if home in ("", "/", "/root"):
        return SYSTEM_ROOT
    data = environ.get("XDG_DATA_HOME") or f"{home}/.local/share"
    return f"{data}/corten"
