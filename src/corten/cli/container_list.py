"""``corten ps``: containers as Docker's table."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from corten.cli.quantities import ago, duration
from corten.cli.tables import table
from corten.runtime.state import ContainerState, Status

if TYPE_CHECKING:
    from corten.engine.containers import ContainerRow

_TITLES = {
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "CreatedAt": "CREATED AT",
    "RunningFor": "CREATED",
    "State": "STATE",
    "Status": "STATUS",
    "Ports": "PORTS",
    "Names": "NAMES",
    "Labels": "LABELS",
    "Networks": "NETWORKS",
}
_SHOWN = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
_COMMAND_WIDTH = 20


class Shape(NamedTuple):
    """How to list: Docker's -q, --no-trunc and --format."""

    quiet: bool = False
    no_trunc: bool = False
    form: str = ""


def listing(rows: Iterable[ContainerRow], shape: Shape) -> str:
    """The text of ``corten ps``.  Raises: Usage: the format is wrong."""
    now = time.time()
    fields = [_fields(row, shape, now) for row in rows]
    if shape.quiet:
        return "".join(f"{row['ID']}\n" for row in fields)
    if shape.form:
        from corten.cli.templates import render_rows

        return render_rows(shape.form, fields, _TITLES)
    return table(
        [_TITLES[name] for name in _SHOWN], [[row[name] for name in _SHOWN] for row in fields]
    )


def status(state: ContainerState, now: float) -> str:
    """``Up 3 minutes``, ``Exited (0) 3 minutes ago``, ``Created``."""
    match state.status:
        case Status.RUNNING:
            return f"Up {duration(max(now - state.started, 0))}"
        case Status.EXITED:
            return f"Exited ({state.exit_code}) {ago(max(now - state.finished, 0))}"
        case _:
            return "Created"


def _fields(row: ContainerRow, shape: Shape, now: float) -> Mapping[str, str]:
    record, state, ports = row
    command = shlex.join(record.process.args)
    if not shape.no_trunc and len(command) > _COMMAND_WIDTH:
        command = command[: _COMMAND_WIDTH - 1] + "…"
    created = time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC", time.gmtime(record.created))
    return {
        "ID": record.id if shape.no_trunc else record.short_id,
        "Image": record.image or record.image_id.partition(":")[2][:12],
        "Command": f'"{command}"',
        "CreatedAt": created,
        "RunningFor": ago(max(now - record.created, 0)),
        "State": str(state.status),
        "Status": status(state, now),
        "Ports": ", ".join(map(str, ports)),
        "Names": record.name,
        "Labels": ",".join(f"{key}={value}" for key, value in record.labels.items()),
        "Networks": record.network,
    }
