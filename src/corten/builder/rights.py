"""What a step may do only if the caller allows it: ``--allow``."""

from __future__ import annotations

from corten.builder.given import INSECURE, NETWORK_HOST
from corten.builder.graph import Run
from corten.builder.plan import Plan
from corten.dockerfile.errors import DockerfileError


def check_rights(plan: Plan, allowed: frozenset[str], network: str, file: str) -> None:
    """See that every RUN of the plan is allowed; `network` is that of the build.

    The host's network is what steps have unless the build was told ``--network=none``: only
    then is it a right.  Raises: DockerfileError: with the flag to give.
    """
    for step in plan.graph:
        if not isinstance(step.op, Run):
            continue
        wanted = [
            (step.op.security == "insecure", "--security=insecure", INSECURE),
            (step.op.network == "host" and network == "none", "--network=host", NETWORK_HOST),
        ]
        for wants, flag, right in wanted:
            if wants and right not in allowed:
                origin = plan.graph.origins.get(step.digest)
                raise DockerfileError(
                    f"RUN {flag} is not allowed",
                    line=origin.line if origin else 0,
                    source=origin.source if origin else "",
                    part=flag,
                    file=file,
                    hint=f"if you trust the Dockerfile: corten build --allow {right}",
                )
