"""Several platforms at once: which ones, their plans side by side, and one index of their images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from corten.builder.graph import Origin
from corten.builder.plan import Plan
from corten.oci.digest import Digest
from corten.oci.platform import Platform

HERE = "local"
"""What ``--platform`` calls the platform of this machine."""


def parse_platforms(texts: Sequence[str], host: Platform) -> tuple[Platform, ...]:
    """The platforms of all ``--platform`` options, each once, in order.

    A text may name several, with commas between; ``local`` is `host`.  Raises: Invalid.
    """
    found: dict[Platform, None] = {}
    for text in texts:
        for part in text.split(","):
            found[host if part.strip() == HERE else Platform.parse(part)] = None
    return tuple(found)


def all_origins(plans: Sequence[Plan]) -> Mapping[Digest, Origin]:
    """The origins of all plans' steps.

    Of several plans each title says the step's platform: ``[linux/arm64 stage 1/3] RUN make``.
    """
    if len(plans) == 1:
        return plans[0].graph.origins
    found: dict[Digest, Origin] = {}
    for plan in plans:
        for step in plan.graph:
            origin = plan.graph.origins.get(step.digest)
            if origin is not None and step.digest not in found:
                title = origin.title.replace("[", f"[{step.platform} ", 1)
                found[step.digest] = msgspec.structs.replace(origin, title=title)
    return found


def all_warnings(plans: Sequence[Plan]) -> tuple[str, ...]:
    """The warnings of all plans, each once."""
    return tuple(dict.fromkeys(warning for plan in plans for warning in plan.warnings))
