"""What a container does now, read from the kernel and from what its monitor wrote.

Files in the container's directory: ``started.json`` (which process, since when,
under which boot of the machine) is written before the command runs;
``exit/<id>`` holds the exit status, written by conmon when it ends.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import msgspec

from corten.errors import Conflict
from corten.runtime.containers import ContainerRecord, write_json
from corten.system.process import process_ticks

UNKNOWN_EXIT = 255
"""The exit status of a command whose end nobody saw: power cut, or its monitor was killed."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Status(StrEnum):
    """Docker's words for where a container is in its life."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


class ContainerState(NamedTuple):
    """A container's state; times in seconds since the epoch, 0 where there was none."""

    status: Status
    pid: int = 0
    exit_code: int = 0
    started: float = 0.0
    finished: float = 0.0


class Started(msgspec.Struct, frozen=True):
    """Which process a container is; `ticks` and `boot` tell it from a later one of the same number."""

    pid: int
    ticks: int
    boot: str
    time: float
    monitor: int = 0
    monitor_ticks: int = 0


def note_start(directory: Path, pid: int, monitor: int, time: float) -> None:
    """Remember the process `pid` and its conmon, `monitor`."""
    started = Started(
        pid, process_ticks(pid), boot_id(), time, monitor, process_ticks(monitor) if monitor else 0
    )
    write_json(directory / "started.json", started)


def forget_start(directory: Path) -> None:
    """Make the container one that was never started, before a new start."""
    for name in ("started.json", "pid", "conmon.pid", "log.crun"):
        (directory / name).unlink(missing_ok=True)
    for file in (directory / "exit").glob("*"):
        file.unlink(missing_ok=True)


def read_started(directory: Path) -> Started | None:
    """What `note_start` wrote."""
    try:
        return msgspec.json.decode((directory / "started.json").read_bytes(), type=Started)
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def container_state(directory: Path) -> ContainerState:
    """The state of the container that has this directory."""
    started = read_started(directory)
    if started is None:
        return ContainerState(Status.CREATED)
    exited = read_exit(directory)
    if exited is not None:
        code, finished = exited
        return ContainerState(Status.EXITED, 0, code, started.time, finished)
    if is_alive(started):
        return ContainerState(Status.RUNNING, started.pid, 0, started.time)
    # Ended between the two looks?
    code, finished = read_exit(directory) or (UNKNOWN_EXIT, 0.0)
    return ContainerState(Status.EXITED, 0, code, started.time, finished)


def read_exit(directory: Path) -> tuple[int, float] | None:
    """Exit status and time that conmon wrote; None: it did not (yet)."""
    path = directory / "exit" / directory.name
    try:
        with path.open("rb") as file:
            text = file.read(16)
            return int(text), os.fstat(file.fileno()).st_mtime
    except (FileNotFoundError, ValueError):
        return None


def is_alive(started: Started) -> bool:
    """Whether the container's first process is there and no zombie."""
    return started.boot == boot_id() and process_ticks(started.pid) == started.ticks != 0


def monitor_is_alive(started: Started) -> bool:
    """Whether conmon still watches."""
    ticks = process_ticks(started.monitor) if started.monitor else 0
    return started.boot == boot_id() and ticks == started.monitor_ticks != 0


def boot_id() -> str:
    """What tells this boot of the machine from others."""
    return _BOOT_ID.read_text().strip()


@contextlib.contextmanager
def process_handle(record: ContainerRecord, directory: Path) -> Iterator[int]:
    """A pidfd of the running container's first process.  Raises: Conflict: it does not run."""
    stopped = Conflict(
        f"container {record.name} is not running", hint=f"corten start {record.name}"
    )
    started = read_started(directory)
    if started is None or not is_alive(started):
        raise stopped
    try:
        fd = os.pidfd_open(started.pid)
    except ProcessLookupError:
        raise stopped from None
    try:
        # Only now the number cannot pass to another process.
        if not is_alive(started):
            raise stopped
        yield fd
    finally:
        os.close(fd)


def wait_for_end(fd: int, seconds: float | None) -> bool:
    """Wait until the process of the pidfd ended; False: not within `seconds`."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(None if seconds is None else seconds * 1000))


def send_signal(fd: int, number: int) -> bool:
    """Send a signal through a pidfd; False: the process ended meanwhile."""
    try:
        signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return False
    return True
