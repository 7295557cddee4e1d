"""From a tuple of mounts to a tree: made in a mount namespace of its own, never undone.

See :mod:`corten.system.namespaces`: the mounts go when the last process does.
"""

from __future__ import annotations

import os
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
        # Without "..", which would lead out of the directory.
        targets = {os.path.normpath(bind.target): _is_file(bind) for bind in wanted}
        files = [target for target, is_file in targets.items() if is_file]
        folders = [target for target, is_file in targets.items() if not is_file]
        make_mountpoints(mountpoints, directories=folders, files=files)
        mounts = underlay(mounts, mountpoints)
    mount_all(mounts, root)


def _is_file(bind: Bind) -> bool:
    return bind.type == "bind" and not Path(bind.source).is_dir()
