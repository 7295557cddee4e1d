"""What a layer's member may be called, and which of its attributes are kept."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from corten.archive.acl import checked_acl
from corten.archive.entry import NO_XATTRS, Entry, show
from corten.errors import Invalid

WHITEOUT_PREFIX = b".wh."
OPAQUE_MARK = b".wh..wh..opq"
AUFS_MARK = b".wh..wh."
NAME_MAX = 255
PATH_MAX = 4096
XATTR_VALUE_MAX = 65535
XATTRS_MAX = 128 * 1024
"""The most bytes of names and values of one file's attributes: no file system here keeps more."""

# What overlayfs keeps for itself: a layer must not speak to it.
_OVERLAY_PRIVATE = ("trusted.overlay.", "user.overlay.")
_NAMESPACES = ("user.", "trusted.", "security.")
_ACLS = ("system.posix_acl_access", "system.posix_acl_default")
_CAPABILITY = "security.capability"
# Sizes of what the kernel takes, by revision (include/uapi/linux/capability.h).
_CAPABILITIES = {2: 20, 3: 24}


def clean(path: bytes, name: bytes) -> list[bytes]:
    """The components of `path` without ``.``, ``//`` and ``..``; absolute becomes relative.

    Raises: Invalid: it climbs out of the layer, or is too long; `name` is the
    member to blame.
    """
    if len(path) > PATH_MAX:
        raise Invalid(f"{show(name)}: the path is longer than {PATH_MAX} bytes")
    parts: list[bytes] = []
    for part in path.split(b"/"):
        if part == b"..":
            if not parts:
                raise Invalid(f"{show(name)}: {show(path)} climbs out of the layer")
            parts.pop()
        elif part and part != b".":
            parts.append(part)
    if parts and len(parts[-1]) > NAME_MAX:
        raise Invalid(f"{show(name)}: a name in it is longer than {NAME_MAX} bytes")
    return parts


def check_part(part: bytes, entry: Entry) -> None:
    """See that `part` can be a name on the way.  Raises: Invalid: `entry` is the member to blame."""
    if len(part) > NAME_MAX:
        raise Invalid(f"{show(entry.name)}: a name in it is longer than {NAME_MAX} bytes")
    if part.startswith(WHITEOUT_PREFIX):
        raise Invalid(f"{show(entry.name)} lies under a whiteout")


def checked_xattrs(entry: Entry) -> tuple[Entry, int]:
    """`entry` with the attributes that a file system here can keep, and their size in bytes.

    What Linux would refuse is refused here, and what it keeps for other kinds of files is left
    out, so that all drivers show the same: an index would show anything.
    Raises: Invalid: they are too large, or no access list or capabilities.
    """
    kept: dict[str, bytes] = {}
    size = 0
    for key, value in entry.xattrs.items():
        raw = key.encode("utf-8", "surrogateescape")
        if key.startswith(_OVERLAY_PRIVATE) or not _keepable(key):
            continue
        if not _fits(key, entry):
            continue
        if len(raw) > NAME_MAX or len(value) > XATTR_VALUE_MAX or b"\0" in raw:
            raise Invalid(f"{show(entry.name)}: the attribute {show(raw)} is too large")
        whole = _as_kept(key, value)
        if whole is None:
            raise Invalid(f"{show(entry.name)}: the attribute {show(raw)} is malformed")
        kept[key] = whole
        size += len(raw) + len(value) + 1
    if size > XATTRS_MAX:
        raise Invalid(f"{show(entry.name)}: its attributes are too large together: {size} bytes")
    if kept == entry.xattrs:
        return entry, size
    attributes: Mapping[str, bytes] = kept or NO_XATTRS
    return msgspec.structs.replace(entry, xattrs=attributes), size


def _keepable(key: str) -> bool:
    return key in _ACLS or (key.startswith(_NAMESPACES) and not key.endswith("."))


def _fits(key: str, entry: Entry) -> bool:
    """Whether a file of this kind can have the attribute.  Spec: xattr(7), acl(5)."""
    if key == "system.posix_acl_default":
        return entry.kind == "directory"
    if key in _ACLS:
        return entry.kind != "symlink"
    return not key.startswith("user.") or entry.kind in ("file", "directory")


def _as_kept(key: str, value: bytes) -> bytes | None:
    """The value as the kernel would give it back; None if it would not take it."""
    if key in _ACLS:
        return checked_acl(value)
    if key == _CAPABILITY and _CAPABILITIES.get(value[3] if len(value) > 3 else 0) != len(value):
        return None
    return value
