"""From a tuple of mounts to a tree: done in a mount namespace of its own, never undone.

See :mod:`corten.system.namespaces`: the mounts go when the last process does.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path

from corten.errors import Unsupported
from corten.snapshot.protocols import Mount

_FLAGS = {
    "ro": 0x1,
    "nosuid": 0x2,
    "nodev": 0x4,
    "noexec": 0x8,
    "bind": 0x1000,
    "rbind": 0x5000,
}
_BIND = 0x1000
_REMOUNT = 0x20

_libc = ctypes.CDLL(None, use_errno=True)


def assemble(mounts: Sequence[Mount], root: Path) -> None:
    """Make `mounts`, in order, below the existing directory `root`."""
    for mount in mounts:
        target = str(root) + mount.target
        flags = 0
        data = []
        for option in mount.options:
            if option in _FLAGS:
                flags |= _FLAGS[option]
            elif option != "rw":
                data.append(option)
        kind = "none" if mount.type == "bind" else mount.type
        if mount.type == "bind":
            flags |= _BIND
        _mount(mount.source, target, kind, flags, ",".join(data))
        if flags & _BIND and flags & ~0x5000:
            _mount("none", target, "none", (flags & ~0x4000) | _REMOUNT, "")


def _mount(source: str, target: str, kind: str, flags: int, data: str) -> None:
    done = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode(),
        ctypes.c_ulong(flags),
        os.fsencode(data) if data else None,
    )
    if done != 0:
        reason = os.strerror(ctypes.get_errno())
        raise Unsupported(f"cannot mount {source} ({kind}) on {target}: {reason}")
