"""What ``corten pull`` and ``corten push`` do once they know what is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corten.engine.host import Host
    from corten.events.job import Job


def pull_image(
    host: Host, name: str, job: Job, *, platform: str = "", insecure: bool = False
) -> tuple[str, str]:
    """Pull an image; what is said of it, at length and quietly.  Raises: as `transfer.pull`."""
    from corten.engine import transfer

    pulled = transfer.pull(host, name, job, platform=platform, insecure=insecure)
    familiar = pulled.reference.familiar()
    news = "Downloaded newer image for" if pulled.new else "Image is up to date for"
    status = f"Digest: {pulled.digest}\nStatus: {news} {familiar}\n"
    return f"{status}{pulled.reference}\n", f"{familiar}\n"


def push_image(host: Host, name: str, job: Job, *, insecure: bool = False) -> tuple[str, str]:
    """Push an image; what is said of it, at length and quietly.  Raises: as `transfer.push`."""
    from corten.engine import transfer

    pushed = transfer.push(host, name, job, insecure=insecure)
    descriptor = pushed.descriptor
    text = f"{pushed.reference.tag}: digest: {descriptor.digest} size: {descriptor.size}\n"
    return text, f"{pushed.reference.familiar()}\n"
