"""What a build's steps share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from corten.builder.context import Context
from corten.builder.given import Given
from corten.builder.graph import Copy, Origin, Run, Step
from corten.builder.shared_cache import NO_CACHES, SharedCaches
from corten.oci.digest import Digest
from corten.oci.platform import Platform

if TYPE_CHECKING:
    from corten.builder.agents import Agents
    from corten.builder.failing import RunFailed


class Setting(NamedTuple):
    """What a build's steps share.

    ``network`` is what ``default`` means; ``file`` is the Dockerfile's name in
    messages; ``contexts`` has named ones by their key; ``folder`` is for temporary files; ``host`` is what this machine runs (None:
    whatever it is asked to).  ``given`` is what the caller lends, ``agents`` those of it that run.
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
    given: Given = Given()
    agents: Agents | None = None
    failed: list[RunFailed] | None = None
    """Steps that failed, with what they had, for a shell; None: nothing of them is kept."""
    text: str = ""
    """The Dockerfile's."""
    contexts: Mapping[str, Context] = {}

    def context_of(self, op: Copy) -> Context:
        """The context that a copy takes from."""
        return self.contexts[op.context] if op.context else self.context

    def network_of(self, op: Run) -> str:
        """What the process of a RUN has: ``none`` or ``host``."""
        return self.network if op.network == "default" else op.network

    def place(self, step: Step) -> str:
        """The line of the Dockerfile that the step stands for, as messages begin."""
        origin = self.origins.get(step.digest)
        return f"{self.file}:{origin.line}: " if origin else ""
