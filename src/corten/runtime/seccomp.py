"""The system calls that a container may make.

``seccomp.json`` holds, by subject, what is allowed always, on one architecture,
or with a capability.  Everything else fails: with ENOSYS, so that programs fall
back as on an older kernel, except calls listed as denied (and those that only a
missing capability forbids), which fail with EPERM.

Where the facts come from: the names from the manual page syscalls(2); which of
them reach beyond a container from what Docker's documentation ("Significant
syscalls blocked by the default profile") says of each, and from comparing with
the list that podman uses (containers-common, ``seccomp.json``).  The profile is stricter than
podman's where Docker's is: mounting and new namespaces need CAP_SYS_ADMIN, since
the default capabilities do not hold it.  vmsplice and process_madvise act only
on the caller's own processes.

``personality`` may only choose Linux, 32-bit Linux, both with UNAME26, or ask
(0xffffffff): none of these turns off address space randomisation.  ``clone`` may make no
namespaces: the flags CLONE_NEW* are masked (on s390x they are in the second
argument); ``clone3`` hides its flags behind a pointer, so it does not exist and
C libraries fall back to ``clone``.  Sockets may be of any family (Linux has 46) except AF_VSOCK
(40), which reaches the host of a virtual machine, and audit netlink without CAP_AUDIT_WRITE.
Family and protocol are compared in their low 32 bits, for the kernel sees no more of them.
That does not hold for 32-bit x86 programs: their C libraries reach all sockets through
``socketcall``, whose arguments no filter can see.

Spec: OCI runtime, config-linux.md, "Seccomp".
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

AF_NETLINK = 16
AF_VSOCK = 40
NETLINK_AUDIT = 9
EINVAL = 22
ENOSYS = 38

_FAMILIES = 64
_PROTOCOLS = 32  # of netlink: as many as the kernel can have
_INT = 0xFFFFFFFF


@cache
def profile_document() -> dict[str, Any]:
    """The parsed ``seccomp.json`` of this package."""
    # importlib.resources costs ten milliseconds to import; corten is never run from a zip file.
    document: dict[str, Any] = msgspec.json.decode(
        Path(__file__).with_name("seccomp.json").read_bytes()
    )
    return document


def seccomp_profile(capabilities: Collection[str], machine: str = "") -> dict[str, Any]:
    """``linux.seccomp`` of a container that holds `capabilities`.

    `machine` is what uname(2) says (empty: this one).  The same arguments give
    the same document: crun keeps what it compiled from it.
    """
    document = profile_document()
    machine = machine or os.uname().machine
    architecture = document["architectures"].get(machine, {"names": [], "allow": ""})
    allowed = [name for names in document["allow"].values() for name in names.split()]
    allowed += architecture["allow"].split()
    denied = document["denied"].split()
    for capability, names in document["with_capability"].items():
        (allowed if capability in capabilities else denied).extend(names.split())
    rules = [_rule(sorted(set(allowed)))]
    if "CAP_SYS_ADMIN" not in capabilities:
        denied = [name for name in denied if name not in {"clone", "clone3"}]
        rules += _clone_rules(document["namespace_flags"], 1 if machine == "s390x" else 0)
    rules.append(_rule(sorted(set(denied)), errno=document["denied_errno"]))
    rules += [_rule(["personality"], _argument(0, "EQ", p)) for p in document["personalities"]]
    rules += _socket_rules("CAP_AUDIT_WRITE" in capabilities)
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": document["default_errno"],
        "architectures": list(architecture["names"]),
        "syscalls": rules,
    }


def _clone_rules(flags: int, index: int) -> list[dict[str, Any]]:
    return [_rule(["clone"], _masked(index, 0, flags)), _rule(["clone3"], errno=ENOSYS)]


def _socket_rules(audit: bool) -> list[dict[str, Any]]:
    # Few rules with masks rather than one a family: libseccomp takes half a millisecond for each.
    rules = [
        _rule(["socket"], _masked(0, value, mask))
        for first, end in ((0, AF_NETLINK), (AF_NETLINK + 1, AF_VSOCK), (AF_VSOCK + 1, _FAMILIES))
        for value, mask in _blocks(first, end)
    ]
    netlink = [_masked(0, AF_NETLINK, _INT)]
    if not audit:
        audit_socket = _masked(2, NETLINK_AUDIT, _INT)
        rules.append(_rule(["socket"], *netlink, audit_socket, errno=EINVAL))
        rules += [
            _rule(["socket"], *netlink, _masked(2, value, mask))
            for first, end in ((0, NETLINK_AUDIT), (NETLINK_AUDIT + 1, _PROTOCOLS))
            for value, mask in _blocks(first, end)
        ]
        return rules
    rules.append(_rule(["socket"], *netlink))
    return rules


def _blocks(first: int, end: int) -> Iterator[tuple[int, int]]:
    """The numbers from `first` to below `end` as blocks, each a value under a mask."""
    while first < end:
        size = 1
        while first % (2 * size) == 0 and first + 2 * size <= end:
            size *= 2
        yield first, _INT - (size - 1)
        first += size


def _masked(index: int, value: int, mask: int) -> dict[str, Any]:
    return {"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}


def _argument(index: int, operator: str, value: int) -> dict[str, Any]:
    return {"index": index, "value": value, "op": f"SCMP_CMP_{operator}"}


def _rule(names: list[str], *conditions: dict[str, Any], errno: int = 0) -> dict[str, Any]:
    rule: dict[str, Any] = {"names": names, "action": "SCMP_ACT_ALLOW"}
    if errno:
        rule |= {"action": "SCMP_ACT_ERRNO", "errnoRet": errno}
    if conditions:
        rule["args"] = list(conditions)
    return rule
