"""From a tuple of mounts to a tree: made in a mount namespace of its own, never undone.

See :mod:`corten.system.namespaces`: the mounts go when the last process does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from corten.runtime.protocols import Bind
from corten.snapshot.mounting import mount_all
from corten.snapshot.protocols import Mount
from corten.snapshot.skeleton import make_mountpoints, underlay


def assemble(
    mounts: Sequence[Mount], root: Path, binds: Iterable[Bind] = (), mountpoints: Path | None = None
) -> None:
    """Make `mounts`, in order, so that the tree is at the existing directory `root`.

    What the targets of `binds` need is made in the directory `mountpoints` and laid under
    the tree, so that nothing of it comes into the tree's writable layer.
    """
    wanted = list(binds)
    if wanted and mountpoints is not None:
        files = [bind.target for bind in wanted if _is_file(bind)]
        folders = [bind.target for bind in wanted if not _is_file(bind)]
        make_mountpoints(mountpoints, directories=folders, files=files)
        mounts = underlay(mounts, mountpoints)
    mount_all(mounts, root)


def _is_file(bind: Bind) -> bool:
    return bind.type == "bind" and not Path(bind.source).is_dir()
