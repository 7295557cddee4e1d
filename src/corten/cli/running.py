"""What ``corten run`` does once it knows what is asked for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corten.engine.creation import ContainerOptions
    from corten.engine.host import Host
    from corten.events.job import Job


def run_container(host: Host, options: ContainerOptions, job: Job, *, detach: bool) -> int:
    """Run a container to its end, or let it go on alone and print its ID; the exit status."""
    from corten.engine import containers

    if not detach:
        return containers.run(host, options, job)
    record = containers.run_detached(host, options, job)
    sys.stdout.write(f"{record.id}\n")
    return 0
