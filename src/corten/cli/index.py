"""The table of commands: where each is, what it does in a line, where the help lists it.

Names within the management groups stand for the same commands, as with Docker:
``corten image ls`` is ``corten images``.
"""

from __future__ import annotations

from collections.abc import Mapping

from corten.cli.frame import Entry

_REGISTRIES = "Registries"
_SYSTEM = "System"
COMMANDS: Mapping[str, Entry] = {
    "registry": Entry("registry", "Run a registry", _REGISTRIES),
    "completion": Entry("completion", "Print the completion script of a shell", _SYSTEM),
    "version": Entry("version", "Print the versions of corten and of what it uses", _SYSTEM),
}
