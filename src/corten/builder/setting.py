"""What a build's steps share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from corten.builder.context import Context
from corten.builder.graph import Origin, Step
from corten.builder.shared_cache import NO_CACHES, SharedCaches
from corten.oci.digest import Digest
from corten.oci.platform import Platform


class Setting(NamedTuple):
    """What a build's steps share.

    ``network`` is what ``default`` means; ``file`` is the Dockerfile's name in
    messages; ``folder`` is for temporary files; ``host`` is what this machine runs (None:
    whatever it is asked to).
    """

    context: Context
    folder: Path
    environ: Mapping[str, str] = {}
    build_args: Mapping[str, str] = {}
    network: str = "host"
    file: str = "Dockerfile"
    origins: Mapping[Digest, Origin] = {}
    shared: SharedCaches = NO_CACHES
    host: Platform | None = None

    def place(self, step: Step) -> str:
        """The line of the Dockerfile that the step stands for, as messages begin."""
        origin = self.origins.get(step.digest)
        return f"{self.file}:{origin.line}: " if origin else ""
