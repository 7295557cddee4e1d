"""What ``corten rmi`` does with each name, once it knows what is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corten.engine.host import Host


def remove_image(host: Host, name: str, *, force: bool = False, prune: bool = True) -> str:
    """Remove an image; the lines that say what went.  Raises: as `engine.images.remove`."""
    from corten.engine import images

    removed = images.remove(host, name, force=force, prune=prune)
    lines = [f"Untagged: {name}" for name in removed.untagged]
    return "\n".join(lines + [f"Deleted: {digest}" for digest in removed.deleted])
