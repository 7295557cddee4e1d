"""What ``corten push`` does once it knows what is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corten.engine.host import Host
    from corten.events.job import Job


def push_image(
    host: Host, name: str, job: Job, *, insecure: bool = False, quiet: bool = False
) -> str:
    """Push an image; the line that says what was pushed.  Raises: as `engine.transfer.push`."""
    from corten.engine import transfer

    pushed = transfer.push(host, name, job, insecure=insecure)
    if quiet:
        return f"{pushed.reference.familiar()}\n"
    descriptor = pushed.descriptor
    return f"{pushed.reference.tag}: digest: {descriptor.digest} size: {descriptor.size}\n"
