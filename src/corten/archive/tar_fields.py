"""The fields of a tar header: numbers, checksums, and what pax records say.

Spec: POSIX pax, "ustar Interchange Format" and "pax Header"; GNU tar manual,
"Basic Tar Format" (base-256 numbers, sparse maps).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from corten.archive.acl import ACL_RECORDS, acl_from_text
from corten.archive.entry import ID_LIMIT
from corten.errors import Invalid

BLOCK = 512
EXTENSION_LIMIT = 1024 * 1024
"""The largest extension header (pax records, long names) that is accepted, in bytes."""
EXTENSIONS_LIMIT = 4 * EXTENSION_LIMIT
"""The most bytes of extension headers that one member may have."""
GLOBAL_LIMIT = 64 * 1024
"""The most bytes that keywords and values of global headers may have together."""
GLOBAL_COUNT = 256
"""The most keywords of global headers."""
SPARSE_LIMIT = 65536
"""The most stretches that a sparse member may store."""
TIME_LIMIT = 1 << 40
"""Times farther from 1970 than this many seconds are refused."""
SIZE_LIMIT = 1 << 62

XATTR_PREFIX = b"SCHILY.xattr."
_DECIMAL = re.compile(rb"-?[0-9]{1,30}(?:\.[0-9]*)?")


def number(field: bytes, what: str) -> int:
    """A numeric header field: octal, or base-256 if the first bit is set.  Raises: Invalid."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big")
        bits = 8 * len(field)
        if field[0] & 0x40:
            return value - (1 << bits)
        return value & ((1 << (bits - 1)) - 1)
    text = field.partition(b"\0")[0].strip(b" ")
    if not text:
        return 0
    if not text.isdigit() or b"8" in text or b"9" in text:
        raise Invalid(f"malformed tar: {what} is {text[:24]!r}, not an octal number")
    return int(text, 8)


def check_sum(block: bytes) -> None:
    """Compare the header's checksum with the sum of its bytes, unsigned or (old tars) signed.

    Raises: Invalid.
    """
    stored = number(block[148:156], "a header's checksum")
    others = block[:148] + b" " * 8 + block[156:]
    unsigned = sum(others)
    signed = unsigned - 256 * sum(byte > 127 for byte in others)
    if stored not in (unsigned, signed):
        raise Invalid(
            "malformed tar: a header's checksum is wrong",
            hint="this is not a tar archive, or its bytes were damaged",
        )


def checked_id(value: int, what: str) -> int:
    """`value` as a user or group id.  Raises: Invalid."""
    if not 0 <= value <= ID_LIMIT:
        raise Invalid(f"malformed tar: {what} {value} is not an id")
    return value


def checked_size(value: int) -> int:
    """`value` as a size in bytes.  Raises: Invalid."""
    if not 0 <= value <= SIZE_LIMIT:
        raise Invalid(f"malformed tar: {value} is not a size")
    return value


def checked_time(seconds: int) -> int:
    """`seconds` since 1970.  Raises: Invalid."""
    if not -TIME_LIMIT <= seconds <= TIME_LIMIT:
        raise Invalid(f"malformed tar: a time of {seconds} seconds is out of range")
    return seconds


def decimal(text: bytes, what: str) -> int:
    """A non-negative decimal number of a pax record.  Raises: Invalid."""
    if not 0 < len(text) <= 20 or not text.isdigit():
        raise Invalid(f"malformed tar: {what} is {text[:24]!r}, not a number")
    return int(text)


def nanoseconds(text: bytes) -> int:
    """A pax time (decimal seconds, perhaps with a fraction) in nanoseconds, rounded down.

    Raises: Invalid.
    """
    if not _DECIMAL.fullmatch(text):
        raise Invalid(f"malformed tar: a time is {text[:40]!r}")
    whole, _, fraction = text.partition(b".")
    seconds = checked_time(int(whole))
    part = int(fraction[:9].ljust(9, b"0"))
    if text.startswith(b"-"):
        return seconds * 1_000_000_000 - part - (1 if fraction[9:].strip(b"0") else 0)
    return seconds * 1_000_000_000 + part


def parse_pax(body: bytes) -> list[tuple[bytes, bytes]]:
    """The records of a pax extended header, in order.

    Spec: POSIX pax, "pax Extended Header": ``"%d %s=%s\\n"``.  Raises: Invalid.
    """
    records = []
    at, end = 0, len(body)
    while at < end:
        space = body.find(b" ", at, at + 21)
        if space < 0:
            if not body[at:].strip(b"\0"):
                break  # some writers pad with NULs
            raise Invalid("malformed tar: a pax record has no length")
        stop = at + decimal(body[at:space], "a pax record's length")
        if stop > end or stop <= space + 1 or body[stop - 1] != 0x0A:
            raise Invalid("malformed tar: a pax record's length is wrong")
        key, equals, value = body[space + 1 : stop - 1].partition(b"=")
        if not equals or not key:
            raise Invalid("malformed tar: a pax record has no keyword")
        records.append((key, value))
        at = stop
    return records


def overrides(records: Mapping[bytes, bytes]) -> dict[str, Any]:
    """What pax records change in an :class:`~corten.archive.entry.Entry`, by its field names.

    An empty value means "as in the header" (pax, "pax Extended Header").  Raises: Invalid.
    """
    changes: dict[str, Any] = {}
    xattrs: dict[str, bytes] = {}
    for key, value in records.items():
        if key.startswith(XATTR_PREFIX):
            raw = key[len(XATTR_PREFIX) :]
            if b"%" in raw:  # GNU tar, bsdtar: bytes that would end the keyword
                raw = raw.replace(b"%3D", b"=").replace(b"%25", b"%")
            xattrs[raw.decode("utf-8", "surrogateescape")] = value
        elif not value:
            continue
        elif key in (b"path", b"linkpath"):
            if b"\0" in value:
                raise Invalid("malformed tar: a name has a NUL in it")
            changes["name" if key == b"path" else "linkname"] = value
        elif key == b"size":
            changes["size"] = checked_size(decimal(value, "a size"))
        elif key in (b"uid", b"gid"):
            name = key.decode()
            changes[name] = checked_id(decimal(value, name), name)
        elif key == b"mtime":
            changes["mtime_ns"] = nanoseconds(value)
        elif key in (b"SCHILY.devmajor", b"SCHILY.devminor"):
            changes[key[10:].decode()] = decimal(value, "a device number")
        elif key in ACL_RECORDS:
            acl = acl_from_text(value)
            # The attribute's own bytes, if they are there too, say it without a detour.
            if acl is not None and XATTR_PREFIX + ACL_RECORDS[key].encode() not in records:
                xattrs[ACL_RECORDS[key]] = acl
    if xattrs:
        changes["xattrs"] = xattrs
    return changes


def sparse_pairs(numbers: list[int], real: int, stored: int) -> tuple[tuple[int, int], ...]:
    """A sparse map as (offset, length) pairs, checked: rising, inside `real`, filling `stored`.

    Raises: Invalid.
    """
    if len(numbers) % 2 or len(numbers) > 2 * SPARSE_LIMIT:
        raise Invalid("malformed tar: a sparse map has an odd number of fields or too many")
    pairs = []
    end = total = 0
    for offset, length in zip(numbers[::2], numbers[1::2], strict=True):
        if offset < end or length < 0 or offset + length > real:
            raise Invalid("malformed tar: a sparse map overlaps itself or leaves the file")
        end = offset + length
        total += length
        if length:
            pairs.append((offset, length))
    if total != stored:
        raise Invalid(f"malformed tar: a sparse map names {total} bytes, {stored} are stored")
    return tuple(pairs)
