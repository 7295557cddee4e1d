"""Capabilities: what root in a container may do.

Spec: OCI runtime, config.md, "capabilities"; capabilities(7).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from corten.errors import Invalid

ALL_CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)
"""By their numbers, from 0 on."""

DEFAULT_CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)
"""What root in a container may do: podman's default set."""

_STATUS = Path("/proc/self/status")


def check_capabilities(names: Iterable[str]) -> None:
    """Raises: Invalid: one of the names is no capability."""
    for name in names:
        if name not in ALL_CAPABILITIES:
            raise Invalid(f"unknown capability {name!r}", hint="see capabilities(7)")


def adjusted(add: Iterable[str] = (), drop: Iterable[str] = ()) -> tuple[str, ...]:
    """The default set after ``--cap-drop`` and then ``--cap-add``; names with or without ``CAP_``,
    in any case; ``all`` means every one.  Raises: Invalid.
    """
    kept = set(DEFAULT_CAPABILITIES) - set(_names(drop))
    kept.update(_names(add))
    return tuple(name for name in ALL_CAPABILITIES if name in kept)


def _names(given: Iterable[str]) -> list[str]:
    names: list[str] = []
    for text in given:
        name = text.upper()
        if name == "ALL":
            names += ALL_CAPABILITIES
        else:
            names.append(name if name.startswith("CAP_") else f"CAP_{name}")
    check_capabilities(names)
    return names


def available_capabilities(status: str | None = None) -> tuple[str, ...]:
    """What this process could give at most: its bounding set.  `status`: the text of proc(5)'s file."""
    text = _STATUS.read_text() if status is None else status
    for line in text.splitlines():
        if line.startswith("CapBnd:"):
            mask = int(line.partition(":")[2], 16)
            return tuple(name for n, name in enumerate(ALL_CAPABILITIES) if mask >> n & 1)
    return ()
