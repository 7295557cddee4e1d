"""What `inspect` shows of a container.  Spec: Docker Engine API, ContainerInspect."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from corten.engine.containers import row_of
from corten.engine.host import Host
from corten.runtime.containers import ContainerRecord
from corten.runtime.ports import PublishedPort
from corten.runtime.protocols import Bind
from corten.runtime.state import ContainerState, Status

_NEVER = "0001-01-01T00:00:00Z"


def inspect_container(host: Host, reference: str) -> dict[str, Any]:
    """All that is known of a container, in the shape of Docker's ``inspect``.

    Raises: NotFound; Conflict: an ambiguous ID.
    """
    record = host.runtime.containers.get(reference)
    row = row_of(host, record)
    lease = host.runtime.network.lease(record.id)
    process = record.process
    return {
        "Id": record.id,
        "Created": _time(record.created),
        "Path": process.args[0],
        "Args": list(process.args[1:]),
        "State": _state(row.state),
        "Image": record.image_id,
        "Name": f"/{record.name}",
        "Driver": record.driver,
        "LogPath": str(host.runtime.directory(record) / "log"),
        "Mounts": [_mount(bind) for bind in record.binds],
        "HostConfig": _host_config(record),
        "Config": {
            "Hostname": record.hostname or record.short_id,
            "User": process.user,
            "Tty": process.tty,
            "OpenStdin": record.interactive,
            "Env": list(process.env),
            "Cmd": list(process.args),
            "Image": record.image,
            "WorkingDir": process.cwd,
            "Labels": dict(record.labels),
            "StopSignal": record.stop_signal,
            "StopTimeout": record.stop_timeout,
        },
        "NetworkSettings": {
            "IPAddress": lease.address.partition("/")[0] if lease is not None else "",
            "Ports": _ports(row.ports),
        },
    }


def _state(state: ContainerState) -> dict[str, Any]:
    running = state.status is Status.RUNNING
    return {
        "Status": str(state.status),
        "Running": running,
        "Pid": state.pid if running else 0,
        "ExitCode": state.exit_code,
        "StartedAt": _time(state.started),
        "FinishedAt": _time(0 if running else state.finished),
    }


def _host_config(record: ContainerRecord) -> dict[str, Any]:
    return {
        "NetworkMode": record.network,
        "PortBindings": _ports(record.ports),
        "AutoRemove": record.auto_remove,
        "Privileged": record.privileged,
        "ReadonlyRootfs": record.readonly,
        "Init": record.init,
        "Capabilities": None if record.capabilities is None else list(record.capabilities),
        "Memory": record.memory,
        "NanoCpus": round(record.cpus * 10**9),
        "PidsLimit": record.pids,
    }


def _mount(bind: Bind) -> dict[str, Any]:
    return {
        "Type": bind.type,
        "Source": bind.source,
        "Destination": bind.target,
        "Mode": ",".join(bind.options),
        "RW": not bind.readonly,
    }


def _ports(ports: tuple[PublishedPort, ...]) -> dict[str, list[dict[str, str]]]:
    shown: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        address = {"HostIp": port.host_ip, "HostPort": str(port.host_port)}
        shown.setdefault(f"{port.container_port}/{port.protocol}", []).append(address)
    return shown


def _time(seconds: float) -> str:
    """RFC 3339; seconds since 1970, 0: never."""
    if not seconds:
        return _NEVER
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
