"""The OCI runtime configuration (``config.json``) of a container.

Isolation is as strict as podman's defaults: eleven capabilities, a seccomp
profile, masked and read-only paths, its own pid, ipc, uts, mount and cgroup namespaces,
and no devices but the harmless ones.

Spec: OCI runtime, config.md and config-linux.md.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from corten.errors import Invalid
from corten.runtime.capabilities import (
    DEFAULT_CAPABILITIES,
    available_capabilities,
    check_capabilities,
)
from corten.runtime.protocols import Bind, Process, Sandbox
from corten.runtime.seccomp import seccomp_profile
from corten.runtime.users import User

OCI_VERSION = "1.0.2"

MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/dev/block",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
)
"""Hidden from containers: host hardware, keys and schedulers."""

READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

# Node, type, major, minor, access.  Terminals (136) and ptmx are the container's own.
_DEVICE_RULES = (
    ("c", None, None, "m"),
    ("b", None, None, "m"),
    ("c", 1, 3, "rwm"),  # null
    ("c", 1, 5, "rwm"),  # zero
    ("c", 1, 7, "rwm"),  # full
    ("c", 1, 8, "rwm"),  # random
    ("c", 1, 9, "rwm"),  # urandom
    ("c", 5, 0, "rwm"),  # tty
    ("c", 5, 2, "rwm"),  # ptmx
    ("c", 136, None, "rwm"),  # pts/*
)

_HIDDEN = ("nosuid", "noexec", "nodev")


class Limits(msgspec.Struct, frozen=True):
    """What a container may use; 0 or empty: no limit beyond the host's.

    ``memory`` in bytes, ``cpus`` in processors, ``pids`` in processes;
    ``swap`` is memory and swap together (0: as ``memory``), ``cpu_quota`` and ``cpu_period``
    are microseconds, ``cpuset`` is a list of processors;
    ``rlimits`` maps ``NOFILE`` and the like to (soft, hard).
    """

    memory: int = 0
    cpus: float = 0.0
    pids: int = 0
    shm: int = 64 * 1024 * 1024
    swap: int = 0
    cpu_shares: int = 0
    cpu_quota: int = 0
    cpu_period: int = 0
    cpuset: str = ""
    rlimits: Mapping[str, tuple[int, int]] = msgspec.field(default_factory=dict)


class Isolation(msgspec.Struct, frozen=True):
    """What varies between containers beyond the :class:`Sandbox`.

    ``capabilities`` replaces the default set; ``cgroup`` is a path below the
    control groups' root (empty: none).
    """

    capabilities: tuple[str, ...] = DEFAULT_CAPABILITIES
    no_new_privileges: bool = False
    seccomp: bool = True
    cgroup: str = ""
    limits: Limits = msgspec.field(default_factory=Limits)
    sysctls: Mapping[str, str] = msgspec.field(default_factory=dict)


def runtime_config(
    process: Process, sandbox: Sandbox, user: User, root: str, isolation: Isolation | None = None
) -> dict[str, Any]:
    """The whole configuration as a plain document.  `root` is the mounted root's path.

    Raises: Invalid: an empty command, a relative path, an unknown capability.
    """
    isolation = isolation or Isolation()
    config: dict[str, Any] = {
        "ociVersion": OCI_VERSION,
        "process": process_config(process, sandbox, user, isolation),
        "root": {"path": root, "readonly": sandbox.readonly},
        "mounts": _mounts(sandbox, isolation),
        "linux": _linux(sandbox, isolation),
    }
    if sandbox.hostname:
        config["hostname"] = sandbox.hostname
    return config


def process_config(
    process: Process, sandbox: Sandbox, user: User, isolation: Isolation
) -> dict[str, Any]:
    """The ``process`` object: also what `exec` gives to crun.  Raises: Invalid."""
    if not process.args:
        raise Invalid(
            "no command given and the image has none",
            hint="name a command after the image",
        )
    if any("\0" in text for text in (*process.args, *process.env, process.cwd)):
        raise Invalid("a command, environment or directory holds a zero byte")
    document: dict[str, Any] = {
        "terminal": process.tty,
        "user": {"uid": user.uid, "gid": user.gid, "umask": 0o022},
        "args": list(process.args),
        "env": environment(process, user),
        "cwd": _absolute(process.cwd or "/", "working directory"),
        "capabilities": _capabilities(sandbox, user, isolation),
        "noNewPrivileges": isolation.no_new_privileges,
    }
    if user.groups:
        document["user"]["additionalGids"] = list(user.groups)
    if isolation.limits.rlimits:
        document["rlimits"] = [
            {"type": f"RLIMIT_{name}", "soft": soft, "hard": hard}
            for name, (soft, hard) in sorted(isolation.limits.rlimits.items())
        ]
    return document


def environment(process: Process, user: User) -> list[str]:
    """The process's environment: its own entries, later ones winning, and the usual defaults."""
    entries: dict[str, str] = {}
    for entry in process.env:
        name, _, value = entry.partition("=")
        entries.pop(name, None)
        entries[name] = value
    entries.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    if process.tty:
        entries.setdefault("TERM", "xterm")
    entries.setdefault("HOME", user.home)
    return [f"{name}={value}" for name, value in entries.items()]


def _capabilities(sandbox: Sandbox, user: User, isolation: Isolation) -> dict[str, list[str]]:
    names = granted_capabilities(sandbox, isolation)
    check_capabilities(names)
    # A user other than root gets none in effect; the bounding set is what
    # set-user-id programs may rise to.  Inheritable stays empty (CVE-2022-24769).
    held = list(names) if user.uid == 0 else []
    return {"bounding": list(names), "effective": held, "permitted": held}


def granted_capabilities(sandbox: Sandbox, isolation: Isolation) -> tuple[str, ...]:
    """The capabilities of root in the container; a privileged one has all that we can give."""
    if sandbox.privileged:
        return available_capabilities()
    return tuple(sorted(isolation.capabilities))


def _mounts(sandbox: Sandbox, isolation: Isolation) -> list[dict[str, Any]]:
    access = "rw" if sandbox.privileged else "ro"
    mounts = [
        _mount("/proc", "proc", "proc", *_HIDDEN),
        _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount(
            "/dev/pts",
            "devpts",
            "devpts",
            *("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
        ),
        _mount(
            "/dev/shm",  # noqa: S108 - the container's own
            "tmpfs",
            "shm",
            *(*_HIDDEN, "mode=1777", f"size={isolation.limits.shm}"),
        ),
        _mount("/dev/mqueue", "mqueue", "mqueue", *_HIDDEN),
        # A new sysfs, not the host's: what is mounted below that would stay writable.
        _mount("/sys", "sysfs", "sysfs", *_HIDDEN, access),
    ]
    if isolation.cgroup:
        mounts.append(_mount("/sys/fs/cgroup", "cgroup", "cgroup", *_HIDDEN, "relatime", access))
    for target, source in (
        ("/etc/resolv.conf", sandbox.resolv_conf),
        ("/etc/hosts", sandbox.hosts),
    ):
        if source:
            mounts.append(_mount(target, "bind", source, "bind", "rprivate"))
    mounts += [_bind(bind) for bind in _outer_first(sandbox.binds)]
    return mounts


def _outer_first(binds: tuple[Bind, ...]) -> list[Bind]:
    """Parents before children, else the parent's mount would hide the child's."""
    return sorted(binds, key=lambda bind: bind.target.rstrip("/").count("/"))


def _bind(bind: Bind) -> dict[str, Any]:
    target = os.path.normpath(_absolute(bind.target, "mount target"))
    if target.strip("/") == "":
        raise Invalid("a mount cannot replace the container's root", hint="choose another target")
    access = ("ro",) if bind.readonly else ()
    if bind.type == "tmpfs":
        options = bind.options or ("mode=1777",)
        return _mount(target, "tmpfs", "tmpfs", "nosuid", "nodev", *options, *access)
    if bind.type != "bind":
        raise Invalid(f"unknown mount type {bind.type!r}", hint="bind or tmpfs")
    source = _absolute(bind.source, "mount source")
    return _mount(target, "bind", source, "rbind", "rprivate", *bind.options, *access)


def _mount(destination: str, kind: str, source: str, *options: str) -> dict[str, Any]:
    return {
        "destination": destination,
        "type": kind,
        "source": source,
        "options": list(options),
    }


def _absolute(path: str, what: str) -> str:
    if not path.startswith("/"):
        raise Invalid(f"{what} {path!r} is not absolute", hint="begin it with /")
    return path


def _linux(sandbox: Sandbox, isolation: Isolation) -> dict[str, Any]:
    namespaces: list[dict[str, str]] = [
        {"type": kind} for kind in ("pid", "ipc", "uts", "mount", "cgroup")
    ]
    if sandbox.network == "none":
        namespaces.append({"type": "network"})
    elif sandbox.network != "host":
        path = _absolute(sandbox.network, "network namespace")
        namespaces.append({"type": "network", "path": path})
    linux: dict[str, Any] = {
        "namespaces": namespaces,
        "resources": _resources(sandbox, isolation.limits),
    }
    if isolation.sysctls:
        linux["sysctl"] = dict(isolation.sysctls)
    if isolation.cgroup:
        linux["cgroupsPath"] = isolation.cgroup
    if not sandbox.privileged:
        linux["maskedPaths"] = list(MASKED_PATHS)
        linux["readonlyPaths"] = list(READONLY_PATHS)
        if isolation.seccomp:
            linux["seccomp"] = seccomp_profile(granted_capabilities(sandbox, isolation))
    return linux


def _resources(sandbox: Sandbox, limits: Limits) -> dict[str, Any]:
    if sandbox.privileged:
        rules: list[dict[str, Any]] = [{"allow": True, "access": "rwm"}]
    else:
        rules = [{"allow": False, "access": "rwm"}]
        rules += [_device_rule(*rule) for rule in _DEVICE_RULES]
    resources: dict[str, Any] = {"devices": rules}
    if limits.memory:
        resources["memory"] = {"limit": limits.memory, "swap": limits.swap or limits.memory}
    if limits.cpus:
        resources["cpu"] = {"period": 100_000, "quota": int(limits.cpus * 100_000)}
    elif cpu := _cpu(limits):
        resources["cpu"] = cpu
    if limits.pids:
        resources["pids"] = {"limit": limits.pids}
    return resources


def _cpu(limits: Limits) -> dict[str, Any]:
    named = {
        "shares": limits.cpu_shares,
        "quota": limits.cpu_quota,
        "period": limits.cpu_period,
        "cpus": limits.cpuset,
    }
    return {name: value for name, value in named.items() if value}


def _device_rule(kind: str, major: int | None, minor: int | None, access: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"allow": True, "type": kind, "access": access}
    if major is not None:
        rule["major"] = major
    if minor is not None:
        rule["minor"] = minor
    return rule
