"""The start of a container up to the point where only its command has to be let go."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec

from corten.errors import Conflict
from corten.runtime.assembly import assemble
from corten.runtime.capabilities import DEFAULT_CAPABILITIES
from corten.runtime.containers import ContainerRecord
from corten.runtime.crun import FILTERS, with_init, write_config
from corten.runtime.etc_files import hosts_text, resolv_conf_text
from corten.runtime.host import Runtime
from corten.runtime.monitor import Created, launch
from corten.runtime.networks import new_namespace
from corten.runtime.ports import Reservation
from corten.runtime.protocols import Bind, Process, Sandbox
from corten.runtime.specification import Isolation, Limits
from corten.runtime.state import Status, container_state, read_started
from corten.runtime.volumes import VolumeStore
from corten.snapshot.protocols import Mount
from corten.system.cgroup import CgroupMode, cgroup_mode, cgroup_path
from corten.system.namespaces import in_private_mounts

OTHER = "container:"


def launch_container(
    runtime: Runtime, record: ContainerRecord, rootfs: tuple[Mount, ...]
) -> Created:
    """Ports, network, mounts, monitor: everything but the command's first instruction.

    Raises: PortTaken, before anything is made; Conflict: the container whose
    network is wanted does not run; what the parts raise.
    """
    directory = runtime.directory(record)
    (directory / "rootfs").mkdir(exist_ok=True)
    if record.network != "bridge":
        network = _network(runtime, record)
        _write_etc(runtime, record, "")
        return in_private_mounts(lambda: _in_private(runtime, record, rootfs, network, ()))
    with Reservation(record.ports) as reserved:
        lease, enter = runtime.network.connect(record.id, os.getpid(), reserved.ports)
        _write_etc(runtime, record, lease.address)
        pin = directory / "netns"

        def work() -> Created:
            new_namespace(pin, enter)
            runtime.network.plug(lease)
            return _in_private(runtime, record, rootfs, str(pin), reserved.descriptors)

        return in_private_mounts(work)


def _in_private(
    runtime: Runtime,
    record: ContainerRecord,
    rootfs: tuple[Mount, ...],
    network: str,
    held: tuple[int, ...],
) -> Created:
    directory = runtime.directory(record)
    root = directory / "rootfs"
    assemble(rootfs, root, record.binds, directory / "mountpoints")
    VolumeStore(runtime.root).fill(record.binds, root)
    process, sandbox = with_init(*_asked_for(runtime, record, network))
    filters = runtime.root / "run" / FILTERS
    write_config(directory, process, sandbox, isolation(runtime, record), filters)
    return launch(runtime, record, held)


def isolation(runtime: Runtime, record: ContainerRecord) -> Isolation:
    """What of the container's isolation is not in its sandbox."""
    base = runtime.isolation
    limits = Limits(
        memory=record.memory, cpus=record.cpus, pids=record.pids, rlimits=base.limits.rlimits
    )
    capabilities = record.capabilities
    own_network = record.network in {"bridge", "none"}
    return msgspec.structs.replace(
        base,
        capabilities=DEFAULT_CAPABILITIES if capabilities is None else capabilities,
        cgroup="" if cgroup_mode() is CgroupMode.NONE else cgroup_path(record.id),
        limits=limits,
        # As podman's default: ping without privileges.
        sysctls={"net.ipv4.ping_group_range": "0 0"} if own_network else {},
    )


def hostname(record: ContainerRecord) -> str:
    """The container's host name: as asked for, the host's own on its network, else the short id."""
    if record.hostname:
        return record.hostname
    return os.uname().nodename if record.network == "host" else record.short_id


def environment(record: ContainerRecord) -> tuple[str, ...]:
    """The container's environment as created, with its host name."""
    return (f"HOSTNAME={hostname(record)}", *record.process.env)


def _asked_for(runtime: Runtime, record: ContainerRecord, network: str) -> tuple[Process, Sandbox]:
    directory = runtime.directory(record)
    name = hostname(record)
    process = msgspec.structs.replace(record.process, env=environment(record))
    targets = {bind.target for bind in record.binds}

    def own(target: str) -> str:
        # A bind of the user's goes before.
        path = directory / Path(target).name
        return "" if target in targets else str(path)

    binds = record.binds
    if own("/etc/hostname"):
        binds = (Bind("/etc/hostname", own("/etc/hostname")), *binds)
    return process, Sandbox(
        rootfs=(),
        binds=binds,
        network=network,
        hostname=name,
        resolv_conf=own("/etc/resolv.conf"),
        hosts=own("/etc/hosts"),
        readonly=record.readonly,
        privileged=record.privileged,
        init=record.init,
    )


def _network(runtime: Runtime, record: ContainerRecord) -> str:
    """``host``, ``none``, or the namespace of the container that ``container:<id>`` names."""
    if not record.network.startswith(OTHER):
        return record.network
    other = runtime.containers.get(record.network.removeprefix(OTHER))
    started = read_started(runtime.directory(other))
    running = container_state(runtime.directory(other)).status is Status.RUNNING
    if started is None or not running:
        raise Conflict(
            f"container {other.name}, whose network is wanted, is not running",
            hint=f"corten start {other.name}",
        )
    return f"/proc/{started.pid}/ns/net"


def _write_etc(runtime: Runtime, record: ContainerRecord, address: str) -> None:
    directory = runtime.directory(record)
    if record.network.startswith(OTHER):
        other = runtime.containers.get(record.network.removeprefix(OTHER))
        for name in ("hosts", "hostname", "resolv.conf"):
            shutil.copyfile(runtime.directory(other) / name, directory / name)
        return
    name = hostname(record)
    own_network = record.network != "host"
    host_file = "" if own_network else Path("/etc/hosts").read_text("utf-8", "replace")
    resolv_conf = "" if record.network == "none" else resolv_conf_text(own_network)
    (directory / "hosts").write_text(hosts_text(name, address, host_file))
    (directory / "hostname").write_text(f"{name}\n")
    (directory / "resolv.conf").write_text(resolv_conf)
