"""Which attributes of a member are kept: what Linux would keep, on every driver."""

from __future__ import annotations

import struct

import pytest

from corten.archive.acl import acl_from_text
from corten.archive.entry import Entry, Kind
from corten.errors import Invalid
from corten.snapshot.members import checked_xattrs

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
CAPABILITY = "security.capability"
ACL = acl_from_text(b"u::rw-,u:1000:r--,g::r--,m::r--,o::---") or b""
V2 = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)
V3 = struct.pack("<IIIIII", 0x03000001, 1 << 13, 0, 0, 0, 1000)


def kept(kind: Kind, **xattrs: bytes) -> dict[str, bytes]:
    entry, _ = checked_xattrs(Entry(b"it", kind, xattrs=xattrs))
    return dict(entry.xattrs)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("directory", {ACCESS, DEFAULT, CAPABILITY, "user.a", "trusted.b"}),
        ("file", {ACCESS, CAPABILITY, "user.a", "trusted.b"}),
        ("fifo", {ACCESS, CAPABILITY, "trusted.b"}),
        ("symlink", {CAPABILITY, "trusted.b"}),
    ],
)
def test_attributes_stay_where_linux_keeps_them(kind: Kind, names: set[str]) -> None:
    given = {ACCESS: ACL, DEFAULT: ACL, CAPABILITY: V2, "user.a": b"1", "trusted.b": b"2"}
    assert set(kept(kind, **given)) == names


@pytest.mark.parametrize("value", [V2, V3])
def test_capabilities_of_both_revisions_are_kept(value: bytes) -> None:
    assert kept("file", **{CAPABILITY: value}) == {CAPABILITY: value}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (CAPABILITY, b""),
        (CAPABILITY, b"nonsense"),
        (CAPABILITY, V2[:-1]),
        (CAPABILITY, V3[:20]),
        (CAPABILITY, V2 + bytes(4)),
        (ACCESS, b""),
        (ACCESS, b"nonsense"),
        (ACCESS, ACL[:4]),
        (ACCESS, ACL[:-1]),
        (ACCESS, ACL[:-8] + struct.pack("<HHI", 0x40, 7, 0xFFFFFFFF)),
    ],
)
def test_what_linux_would_not_take_is_refused_by_name(key: str, value: bytes) -> None:
    with pytest.raises(Invalid, match=f"it: the attribute {key} is malformed"):
        kept("file", **{key: value})


def test_list_that_names_somebody_needs_a_mask() -> None:
    version, entries = ACL[:4], [ACL[at : at + 8] for at in range(4, len(ACL), 8)]
    maskless = version + b"".join(e for e in entries if e[:2] != b"\x10\x00")
    with pytest.raises(Invalid, match="malformed"):
        kept("file", **{ACCESS: maskless})


def test_list_in_any_order_is_kept_in_the_kernel_s() -> None:
    entries = [ACL[at : at + 8] for at in range(4, len(ACL), 8)]
    assert kept("file", **{ACCESS: ACL[:4] + b"".join(reversed(entries))}) == {ACCESS: ACL}
