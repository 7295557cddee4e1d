"""Devices, modes, owners and attributes that are more than a file system or a host should take."""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path

from corten.archive.entry import Entry
from corten.errors import CortenError, Invalid, Unsupported
from hostile.layers.case import Case, Contained, Rejected, always, has
from support.tars import directory, file, header, pack, padded, pax, record, symlink

_CAPABILITY = struct.pack("<IIIII", 0x02000001, 0xFFFFFFFF, 0, 0xFFFFFFFF, 0)


def _setuid(tree: Path) -> None:
    assert stat.S_IMODE((tree / "su").lstat().st_mode) == 0o6755
    assert (tree / "su").lstat().st_uid == 0


def _capability(tree: Path) -> None:
    assert os.getxattr(tree / "ping", "security.capability")[:4] == _CAPABILITY[:4]


def _memory(tree: Path) -> None:
    state = (tree / "mem").lstat()
    assert stat.S_ISCHR(state.st_mode)
    assert stat.S_IMODE(state.st_mode) == 0o6777
    assert state.st_rdev == os.makedev(1, 1)


def _many_attributes(count: int, size: int) -> bytes:
    records = b"".join(record(b"SCHILY.xattr.user.%d" % n, b"x" * size) for n in range(count))
    return header(b"PaxHeaders/x", flag=b"x", size=len(records)) + padded(records) + header(b"a")


def _attribute(key: bytes, value: bytes) -> bytes:
    return pax({b"SCHILY.xattr." + key: value}) + header(b"a")


def _symlink(tree: Path) -> None:
    assert (tree / "s").readlink() == Path("t")


def _plain(tree: Path) -> None:
    assert os.listxattr(tree / "a") == []


CASES = (
    Case(
        "memory device, set-user-id",
        always(pack(Entry(b"mem", "char", 0o6777, major=1, minor=1))),
        has(b"mem", holds=_memory),
    ),
    Case("disk device", always(pack(Entry(b"sda", "block", 0o666, major=8, minor=0))), has(b"sda")),
    Case(
        "device number beyond all",
        always(header(b"c", flag=b"3", devices=b"7777777\0" + b"0000001\0")),
        Rejected("c: .* is not a device number"),
    ),
    Case(
        "device number below zero",
        always(header(b"c", flag=b"3", devices=b"\xff" * 8 + b"0000001\0")),
        Rejected("not a device number"),
        added=Rejected("not a device number|not an octal number"),
    ),
    Case(
        "device number in pax beyond 64 bits",
        always(pax({b"SCHILY.devmajor": b"99999999999999999999"}) + header(b"c", flag=b"3")),
        Rejected("c: .* is not a device number"),
    ),
    Case(
        "set-user-id file", always(pack(file(b"su", b"x", mode=0o6755))), has(b"su", holds=_setuid)
    ),
    Case(
        "file with capabilities",
        always(pack(file(b"ping", b"x", xattrs={"security.capability": _CAPABILITY}))),
        has(b"ping", holds=_capability),
    ),
    Case(
        "capabilities that are none",
        always(pack(file(b"a", b"x", xattrs={"security.capability": b"nonsense"}))),
        Rejected("a", Invalid),
    ),
    Case(
        "access list that is none",
        always(pack(file(b"a", b"x", xattrs={"system.posix_acl_access": b"nonsense"}))),
        Rejected("a", Invalid),
    ),
    Case(
        "fifo named as a file that is read",
        always(
            pack(*(Entry(name, "fifo") for name in (b"etc/passwd", b"etc/group", b".dockerignore")))
        ),
        has(b"etc/passwd", b"etc/group", b".dockerignore"),
    ),
    Case(
        "endless device named as a file that is read",
        always(
            pack(
                Entry(b"etc/passwd", "char", 0o666, major=1, minor=5),
                symlink(b"etc/group", b"passwd"),
            )
        ),
        has(b"etc/passwd", b"etc/group"),
    ),
    Case(
        "attribute of 64 KiB",
        always(_attribute(b"user.big", b"x" * 65536)),
        Rejected("a: .* too large"),
    ),
    Case(
        "attribute whose name is 300 bytes",
        always(_attribute(b"user." + b"n" * 300, b"x")),
        Rejected("a: .* too large"),
    ),
    Case(
        "attribute whose name has a NUL",
        always(_attribute(b"user.a\0b", b"x")),
        Rejected("a: .*user.a"),
    ),
    Case("attribute without a name", always(_attribute(b"user.", b"x")), has(b"a", holds=_plain)),
    Case(
        "attribute of no namespace",
        always(_attribute(b"com.apple.quarantine", b"x")),
        has(b"a", holds=_plain),
    ),
    Case(
        "attribute of the system",
        always(_attribute(b"system.nfs4_acl", b"x")),
        has(b"a", holds=_plain),
    ),
    Case(
        "attribute on a symlink",
        always(pax({b"SCHILY.xattr.user.x": b"1"}) + header(b"s", flag=b"2", linkname=b"t")),
        Contained(None, _symlink),
    ),
    Case(
        "attributes of 360 KB",
        always(_many_attributes(6, 60_000)),
        Rejected("a: .*attributes are too large|cannot extract a", CortenError),
        added=Rejected("a", CortenError),
    ),
    Case(
        "thirty thousand attributes",
        always(_many_attributes(30_000, 1)),
        Rejected("a: .*attributes are too large|cannot extract a", CortenError),
        added=Rejected("a", CortenError),
    ),
    Case(
        "owner beyond all",
        always(pax({b"uid": b"4294967295"}) + header(b"a")),
        Rejected("uid 4294967295 is not an id"),
    ),
    Case("owner below zero", always(pax({b"gid": b"-1"}) + header(b"a")), Rejected("gid is b'-1'")),
    Case(
        "owner in base-256 below zero",
        always(header(b"a", uid=b"\xff" * 8)),
        Rejected("uid -1 is not an id"),
    ),
    Case("largest owner", always(pax({b"uid": b"4294967294"}) + header(b"a")), has(b"a")),
    Case("mode of all bits", always(header(b"a", mode=b"7777777\0")), has(b"a")),
    Case("mode that is no number", always(header(b"a", mode=b"rwxr-xr-")), Rejected("a mode is")),
    Case(
        "directory without rights",
        always(pack(directory(b"d", 0), file(b"d/f", b"x"))),
        has(b"d/f"),
    ),
    Case("unknown type", always(header(b"a", flag=b"Z")), Rejected("a.* type", Unsupported)),
    Case("contiguous file", always(header(b"a", flag=b"7", size=1) + padded(b"x")), has(b"a")),
)
