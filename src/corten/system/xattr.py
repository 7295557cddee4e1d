"""Extended attributes of files, the place given by descriptor or path, symlinks not followed."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

_KEPT = ("user.", "trusted.", "security.", "system.posix_acl_")
_OVERLAY = ("trusted.overlay.", "user.overlay.")
# Labels of the host's own policy and keys, which mean nothing anywhere else.
_OF_THE_HOST = ("security.selinux", "security.evm", "security.SMACK64", "security.apparmor")


def layer_attributes(found: dict[str, bytes]) -> dict[str, bytes]:
    """The attributes that belong to a layer: not to overlayfs, nor to the host."""
    if not found:
        return found
    return {
        key: value
        for key, value in found.items()
        if key.startswith(_KEPT) and not key.startswith((*_OVERLAY, *_OF_THE_HOST))
    }


class AttributeRefused(OSError):
    """A file system did not take an attribute of a file."""

    def __init__(self, error: OSError, name: str, size: int) -> None:
        super().__init__(error.errno, error.strerror)
        self.name = name
        self.size = size
        """In bytes."""


def read_xattrs(place: int | str | bytes) -> dict[str, bytes]:
    """All attributes of a file; none where the file system has none.  Raises: OSError."""
    follow = isinstance(place, int)
    try:
        names = os.listxattr(place, follow_symlinks=follow)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOSYS):
            return {}
        raise
    found = {}
    for name in names:
        try:
            found[name] = os.getxattr(place, name, follow_symlinks=follow)
        except OSError as error:
            if error.errno != errno.ENODATA:  # it went away in between
                raise
    return found


def write_xattrs(place: int | str | bytes, xattrs: Mapping[str, bytes]) -> None:
    """Set attributes on a file.  Raises: AttributeRefused."""
    follow = isinstance(place, int)
    for name, value in xattrs.items():
        try:
            os.setxattr(place, name, value, follow_symlinks=follow)
        except OSError as error:
            raise AttributeRefused(error, name, len(value)) from error
