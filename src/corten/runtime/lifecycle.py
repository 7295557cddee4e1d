"""Create, start, wait, stop, kill, remove: the life of a container.

Whatever a start makes on the machine (mounts, namespaces, control groups,
interfaces, rules) either hangs on processes and goes with them or is taken away by
:func:`settle`, which may be called at any time, by anyone, more than once.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from corten.errors import Conflict, NotFound, Unavailable
from corten.runtime.attach import Attachment
from corten.runtime.containers import ContainerRecord
from corten.runtime.crun import kill_group
from corten.runtime.host import Runtime
from corten.runtime.launch import launch_container
from corten.runtime.monitor import crun_start, kill_monitor, run_crun
from corten.runtime.protocols import Bind
from corten.runtime.signals import signal_number
from corten.runtime.state import (
    ContainerState,
    Status,
    container_state,
    forget_start,
    is_alive,
    monitor_is_alive,
    note_start,
    process_handle,
    read_exit,
    read_started,
    send_signal,
    wait_for_end,
)
from corten.runtime.volumes import VolumeStore
from corten.snapshot.protocols import Mount, Snapshotter
from corten.system.cgroup import CgroupMode, cgroup_mode

KILL_PATIENCE = 10.0
"""Seconds a process may take to go after SIGKILL (it may be waiting for a disk)."""

_EXIT_PATIENCE = 5.0
_TICK = 0.002


def create(
    runtime: Runtime,
    record: ContainerRecord,
    image_volumes: Iterable[str] = (),
) -> ContainerRecord:
    """Keep a new container; nothing runs yet.

    `image_volumes` are the targets of the image's VOLUMEs: those that no bind
    covers become anonymous volumes.  The snapshot ``record.snapshot`` is the caller's to prepare.
    Raises: NameTaken; Invalid.
    """
    volumes = VolumeStore(runtime.root)
    covered = {bind.target for bind in record.binds}
    made = []
    binds = list(record.binds)
    for target in image_volumes:
        normal = os.path.normpath("/" + target.lstrip("/"))
        if normal not in covered and normal != "/":
            made.append(volumes.create_anonymous())
            binds.append(Bind(normal, str(volumes.directory(made[-1]))))
    record = msgspec.structs.replace(
        record, binds=tuple(binds), anonymous=(*record.anonymous, *made)
    )
    try:
        return runtime.containers.create(record)
    except BaseException:
        for name in made:
            volumes.remove(name)
        raise


def state(runtime: Runtime, record: ContainerRecord) -> ContainerState:
    """What the container does now."""
    return container_state(runtime.directory(record))


def start(
    runtime: Runtime, record: ContainerRecord, rootfs: tuple[Mount, ...], *, attach: bool = False
) -> Attachment | None:
    """Start a container whose snapshot is mounted by `rootfs`.

    With `attach` the connection is made before the command runs, so that nothing it
    writes is missed.  Raises: Conflict: it runs already; PortTaken, before
    anything is started; CannotExecute (status 126, 127); RuntimeFailed; MissingHelper.
    """
    directory = runtime.directory(record)
    with runtime.containers.locked(record.id):
        if container_state(directory).status is Status.RUNNING:
            raise Conflict(f"container {record.name} is running already")
        _settle(runtime, record)
        forget_start(directory)
        attachment = None
        try:
            created = launch_container(runtime, record, rootfs)
            note_start(directory, created.pid, created.monitor, time.time())
            attachment = Attachment(directory) if attach else None
            crun_start(runtime, record)
        except BaseException:
            if attachment is not None:
                attachment.close()
            _abandon(runtime, record)
            raise
        return attachment


def _abandon(runtime: Runtime, record: ContainerRecord) -> None:
    """Undo a start that failed half way: the container is as if never started."""
    with contextlib.suppress(Exception):
        _force_end(runtime, record)
    _settle(runtime, record)
    if cgroup_mode() is not CgroupMode.NONE:
        # A crun that fails early forgets the container, but not always its control group.
        kill_group(record.id)
    kill_monitor(runtime, record)
    forget_start(runtime.directory(record))


@contextlib.contextmanager
def attended(runtime: Runtime, record: ContainerRecord) -> Iterator[None]:
    """Within the block the caller sees to the container's end: conmon's exit command does nothing.

    If the caller is killed, the exit command does its work after all.
    """
    path = runtime.directory(record) / "attended"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def wait(runtime: Runtime, record: ContainerRecord, seconds: float | None = None) -> int | None:
    """Wait until the container does not run; returns its exit status, None: it still runs.

    128 + signal if it was killed; 255 if nobody saw its end.
    """
    directory = runtime.directory(record)
    with contextlib.suppress(Conflict), process_handle(record, directory) as fd:
        if not wait_for_end(fd, seconds):
            return None
    return _exit_code(directory)


def _exit_code(directory: Path) -> int:
    """The status after the process ended: conmon needs a moment to write it."""
    end = time.monotonic() + _EXIT_PATIENCE
    started = read_started(directory)
    while started is not None and time.monotonic() < end:
        watched = monitor_is_alive(started)
        if (found := read_exit(directory)) is not None:
            return found[0]
        if not watched:
            break
        time.sleep(_TICK)
    return container_state(directory).exit_code


def kill(runtime: Runtime, record: ContainerRecord, name: str = "SIGKILL") -> None:
    """Send a signal to the container's first process.  Raises: Invalid; Conflict: not running."""
    number = signal_number(name)
    with process_handle(record, runtime.directory(record)) as fd:
        send_signal(fd, number)


def stop(runtime: Runtime, record: ContainerRecord, seconds: float | None = None) -> int:
    """Ask the command to end (the image's STOPSIGNAL), kill it after `seconds`; its exit status.

    `seconds` None: what the container was created with.  Nothing to do if it does not run.
    """
    patience = record.stop_timeout if seconds is None else seconds
    directory = runtime.directory(record)
    with contextlib.suppress(Conflict), process_handle(record, directory) as fd:
        send_signal(fd, signal_number(record.stop_signal))
        if not wait_for_end(fd, patience):
            send_signal(fd, signal.SIGKILL)
            if not wait_for_end(fd, KILL_PATIENCE):
                raise Unavailable(
                    f"container {record.name} does not end", hint="its process waits for a device"
                )
    code = _exit_code(directory)
    with contextlib.suppress(NotFound):
        settle(runtime, record)
    return code


def settle(runtime: Runtime, record: ContainerRecord) -> None:
    """Give back what an ended container still holds; nothing to do while it runs.

    Raises: NotFound: it was removed meanwhile.
    """
    with runtime.containers.locked(record.id):
        if container_state(runtime.directory(record)).status is not Status.RUNNING:
            _settle(runtime, record)


def _settle(runtime: Runtime, record: ContainerRecord) -> None:
    if (runtime.crun_root / record.id).exists():
        if cgroup_mode() is CgroupMode.NONE:
            run_crun(runtime, ["delete", "--force", record.id])
        else:
            # What `crun delete` does, without starting a program for it.
            kill_group(record.id)
        shutil.rmtree(runtime.crun_root / record.id, ignore_errors=True)
    runtime.network.release(record.id)


def settle_all(runtime: Runtime) -> int:
    """Settle every container that ended unseen (its monitor was killed, the machine restarted).

    Returns how many there were.
    """
    count = 0
    for record in runtime.containers.walk():
        held = (runtime.crun_root / record.id).exists() or runtime.network.lease(record.id)
        if held and state(runtime, record).status is not Status.RUNNING:
            with contextlib.suppress(NotFound):
                settle(runtime, record)
                count += 1
    return count


def remove(
    runtime: Runtime,
    record: ContainerRecord,
    snapshotter: Snapshotter,
    *,
    force: bool = False,
    volumes: bool = False,
) -> None:
    """Remove a container, its snapshot and log; with `volumes` its anonymous volumes too.

    With `force` a running one is killed first; else Conflict is raised.  Removing what somebody
    else just removed is no error.
    """
    with contextlib.suppress(NotFound), runtime.containers.locked(record.id):
        if container_state(runtime.directory(record)).status is Status.RUNNING and not force:
            raise Conflict(
                f"container {record.name} is running",
                hint=f"stop it (corten stop {record.name}) or remove it with --force",
            )
        _force_end(runtime, record)
        _settle(runtime, record)
        snapshotter.remove(record.snapshot)
        if volumes or record.auto_remove:
            store = VolumeStore(runtime.root)
            for name in record.anonymous:
                with contextlib.suppress(NotFound):
                    store.remove(name)
        runtime.containers.remove(record)


def _force_end(runtime: Runtime, record: ContainerRecord) -> None:
    """Kill the container's processes, and its monitor if that does not write down their end.

    A monitor that did goes by itself; we may be its exit command.
    """
    directory = runtime.directory(record)
    started = read_started(directory)
    if started is None:
        return
    if is_alive(started):
        with contextlib.suppress(Conflict), process_handle(record, directory) as fd:
            send_signal(fd, signal.SIGKILL)
            wait_for_end(fd, KILL_PATIENCE)
    _exit_code(directory)
    if read_exit(directory) is None and monitor_is_alive(started):
        with contextlib.suppress(ProcessLookupError):
            os.kill(started.monitor, signal.SIGKILL)
