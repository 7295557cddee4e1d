"""The HTTP library for a command that will make a request, and no more of it than that takes."""

from __future__ import annotations

import sys
from types import ModuleType


def load_urllib3() -> None:
    """Import urllib3 without `importlib.metadata`, which only its HTTP/2 asks for a version.

    With all that it imports it is a twentieth of a push that finds nothing to do.  For a
    process that has no other thread yet, and belongs to us: whoever imports
    `importlib.metadata` meanwhile has a stand-in.
    """
    name = "importlib.metadata"
    if "urllib3" in sys.modules or name in sys.modules:
        return
    stand_in = ModuleType(name)
    stand_in.version = _version  # type: ignore[attr-defined]
    sys.modules[name] = stand_in
    try:
        import urllib3  # noqa: F401
    finally:
        del sys.modules[name]


def _version(package: str) -> str:
    """As `importlib.metadata.version`, which is there again when this is called."""
    from importlib.metadata import version

    return version(package)
