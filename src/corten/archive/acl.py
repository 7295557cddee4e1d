"""POSIX access control lists: as Linux keeps them in an attribute, and as tars spell them.

Engines (docker, containerd, podman) carry the attribute's bytes in
``SCHILY.xattr.system.posix_acl_*``; star, GNU tar and bsdtar write text in
``SCHILY.acl.*``.  Spec: star(5), "Extended header keywords"; acl(5), "SHORT TEXT
FORM"; Linux, include/uapi/linux/posix_acl_xattr.h.
"""

from __future__ import annotations

import re
import struct

ACL_RECORDS = {
    b"SCHILY.acl.access": "system.posix_acl_access",
    b"SCHILY.acl.default": "system.posix_acl_default",
}
"""Which attribute a pax record with the text form stands for."""

_VERSION = 2
_NO_ID = 0xFFFFFFFF
_entry = struct.Struct("<HHI")
# What an entry is for: its tag for the owner, and for one named by a number.
_TAGS = {b"user": (0x01, 0x02), b"group": (0x04, 0x08), b"mask": (0x10, 0), b"other": (0x20, 0)}
_WORDS = {tag: word for word, tags in _TAGS.items() for tag in tags if tag}
_SHORT = {b"u": b"user", b"g": b"group", b"m": b"mask", b"o": b"other"}
_LETTERS = ((0x72, 4), (0x77, 2), (0x78, 1))
_PERMISSIONS = re.compile(rb"[rwx-]{1,3}")
_LIMIT = 8192


def acl_to_text(value: bytes) -> bytes | None:
    """The attribute `value` as text with numeric ids; None if it is no list that we know."""
    if len(value) % _entry.size != 4 or value[:4] != _VERSION.to_bytes(4, "little"):
        return None
    parts = []
    for tag, allowed, number in _entry.iter_unpack(value[4:]):
        word = _WORDS.get(tag)
        if word is None or allowed > 7:
            return None
        named = b"%d" % number if tag in (0x02, 0x08) else b""
        letters = bytes(c if allowed & bit else 0x2D for c, bit in _LETTERS)
        parts.append(b"%b:%b:%b" % (word, named, letters))
    return b",".join(parts)


def checked_acl(value: bytes) -> bytes | None:
    """The attribute `value` as the kernel would give it back; None if it would not take it."""
    text = acl_to_text(value)
    return None if text is None else acl_from_text(text)


def acl_from_text(text: bytes) -> bytes | None:
    """The attribute that `text` stands for; None if it is malformed or lacks numeric ids.

    A name that is no number counts only with star's fourth field behind it, which
    has the number; ``root`` is 0.
    """
    entries = []
    for part in re.split(rb"[,\n]", text, maxsplit=_LIMIT):
        line = part.partition(b"#")[0].strip()  # a remark on what the mask leaves
        if not line:
            continue
        entry = _parse(line)
        if entry is None:
            return None
        entries.append(entry)
    # The kernel wants them in the order of tags, then ids, each once.
    entries.sort(key=lambda entry: (entry[0], entry[2]))
    keys = [(tag, number) for tag, _, number in entries]
    tags = {tag for tag, _ in keys}
    if len(set(keys)) != len(keys) or not tags >= {0x01, 0x04, 0x20}:
        return None
    if tags & {0x02, 0x08} and 0x10 not in tags:
        return None  # who names somebody needs a mask (acl(5), "VALID ACLs"): no file can keep it
    return _VERSION.to_bytes(4, "little") + b"".join(_entry.pack(*entry) for entry in entries)


def _parse(line: bytes) -> tuple[int, int, int] | None:
    fields = [field.strip() for field in line.split(b":")]
    if len(fields) == 2 and _SHORT.get(fields[0], fields[0]) in (b"mask", b"other"):
        fields.insert(1, b"")
    if not 3 <= len(fields) <= 4:
        return None
    tags = _TAGS.get(_SHORT.get(fields[0], fields[0]))
    if tags is None or not _PERMISSIONS.fullmatch(fields[2]):
        return None
    allowed = sum(bit for c, bit in _LETTERS if c in fields[2])
    if not fields[1]:
        return tags[0], allowed, _NO_ID
    number = fields[3] if len(fields) == 4 else fields[1]
    if number == b"root":
        number = b"0"
    if not tags[1] or not number.isdigit() or len(number) > 10 or int(number) >= _NO_ID:
        return None
    return tags[1], allowed, int(number)
