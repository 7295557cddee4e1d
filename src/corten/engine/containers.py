"""Use cases of containers: create, run, start, stop, look at, remove."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from corten.engine.creation import ContainerOptions, record_of
from corten.engine.host import Host
from corten.engine.lookup import ensure_applied, image_for, prepare
from corten.errors import Conflict, Corrupt, NotFound, Usage
from corten.events.job import Job
from corten.image.view import load_image
from corten.oci.digest import Digest
from corten.runtime import lifecycle
from corten.runtime.attach import Attachment, Streams, forwarding
from corten.runtime.containers import ContainerRecord
from corten.runtime.logs import LogEntry, read_log
from corten.runtime.ports import PublishedPort
from corten.runtime.protocols import Process
from corten.runtime.state import ContainerState, Status
from corten.runtime.volumes import VolumeStore
from corten.snapshot.protocols import Mount


class ContainerRow(NamedTuple):
    """A container as listings show it; ``ports`` as they are bound now."""

    record: ContainerRecord
    state: ContainerState
    ports: tuple[PublishedPort, ...]


def create(host: Host, options: ContainerOptions, job: Job) -> ContainerRecord:
    """A new container, not started; the image is pulled first where ``options.pull`` says so.

    Raises: NotFound: no such image; Conflict: the name is taken; Invalid, Usage: an option.
    """
    # From here until there is a record nothing of the image is collected.
    with host.store.lease():
        image = image_for(host, options.image, job, pull=options.pull, platform=options.platform)
        record = record_of(host, image, options)
        try:
            prepare(host, record.id, image, job)
            return lifecycle.create(host.runtime, record, image.config.config.volumes)
        except BaseException:
            host.snapshotter.remove(record.id)
            for volume in record.anonymous:
                VolumeStore(host.root).remove(volume)
            raise


def run(host: Host, options: ContainerOptions, job: Job, streams: Streams | None = None) -> int:
    """Create a container, start it and stay with it to its end; returns its exit status.

    ``streams.stdin`` is used with ``options.interactive`` only.  Signals to this process go to
    the container.  A container that could not be started is removed again.
    """
    if options.interactive and options.tty:
        _check_terminal(streams or Streams())
    record = create(host, options, job)
    try:
        return attend(host, record, streams)
    except BaseException:
        if lifecycle.state(host.runtime, record).status is Status.CREATED:
            with contextlib.suppress(NotFound):
                remove(host, record.id, force=True, volumes=True)
        raise


def run_detached(host: Host, options: ContainerOptions, job: Job) -> ContainerRecord:
    """Create and start a container that goes on by itself."""
    record = create(host, options, job)
    try:
        lifecycle.start(host.runtime, record, rootfs_of(host, record))
    except BaseException:
        remove(host, record.id, force=True, volumes=True)
        raise
    return record


def attend(host: Host, record: ContainerRecord, streams: Streams | None = None) -> int:
    """Start an existing container and stay with it to its end; returns its exit status.

    0 as well where the user typed the detach keys: it goes on then.
    """
    streams = streams or Streams()
    if not record.interactive:
        streams = streams._replace(stdin=-1)
    with lifecycle.attended(host.runtime, record):
        attachment = lifecycle.start(host.runtime, record, rootfs_of(host, record), attach=True)
        assert attachment is not None
        gone = None
        try:
            status = _stay(host, record, attachment, streams)
        except BrokenPipeError as error:
            # As with any command in a pipe whose reader went: it ends.
            gone = error
            lifecycle.stop(host.runtime, record, 0)
            status = lifecycle.wait(host.runtime, record)
        if status is None:
            return 0
        # conmon starts its exit command about now: it has to find us still attending.
        with contextlib.suppress(NotFound):
            lifecycle.settle(host.runtime, record)
        if record.auto_remove:
            remove(host, record.id, volumes=True)
    if gone is not None:
        raise gone
    return status


def _stay(
    host: Host, record: ContainerRecord, attachment: Attachment, streams: Streams
) -> int | None:
    def pass_on(number: int) -> None:
        # It may have ended in this moment: then there is nobody to tell.
        with contextlib.suppress(Conflict, NotFound):
            lifecycle.kill(host.runtime, record, str(number))

    with attachment, forwarding(pass_on):
        if not attachment.relay(streams, tty=record.process.tty):
            return None
        return lifecycle.wait(host.runtime, record)


def _check_terminal(streams: Streams) -> None:
    """Raises: Usage: a terminal's input is to come from what is none (its end has no meaning)."""
    if streams.stdin >= 0 and not os.isatty(streams.stdin):
        raise Usage("the input is not a terminal", hint="leave out -t, or its input")


def start(host: Host, reference: str) -> ContainerRecord:
    """Start a created or stopped container; nothing to do if it runs.  Raises: NotFound."""
    record = host.runtime.containers.get(reference)
    if lifecycle.state(host.runtime, record).status is not Status.RUNNING:
        lifecycle.start(host.runtime, record, rootfs_of(host, record))
    return record


def start_attached(host: Host, reference: str, *, interactive: bool = False) -> int:
    """Start a stopped container and stay with it; returns its exit status."""
    record = host.runtime.containers.get(reference)
    streams = Streams() if interactive else Streams(stdin=-1)
    if record.process.tty:
        _check_terminal(streams)
    return attend(host, record, streams)


def attach(host: Host, reference: str, *, stdin: bool = True) -> int:
    """Join a running container's streams to its end; returns its exit status.

    Raises: NotFound; Conflict: it does not run.
    """
    record = host.runtime.containers.get(reference)
    if lifecycle.state(host.runtime, record).status is not Status.RUNNING:
        raise Conflict(
            f"container {record.name} is not running", hint=f"corten start -a {record.name}"
        )
    streams = Streams() if stdin and record.interactive else Streams(stdin=-1)
    if record.process.tty:
        _check_terminal(streams)
    attachment = Attachment(host.runtime.directory(record))
    status = _stay(host, record, attachment, streams)
    return 0 if status is None else status


def stop(host: Host, reference: str, seconds: float | None = None) -> ContainerRecord:
    """Ask a container to end, kill it after `seconds` (None: its own).  Raises: NotFound."""
    record = host.runtime.containers.get(reference)
    lifecycle.stop(host.runtime, record, seconds)
    return record


def restart(host: Host, reference: str, seconds: float | None = None) -> ContainerRecord:
    """Stop and start.  Raises: NotFound."""
    stop(host, reference, seconds)
    return start(host, reference)


def kill(host: Host, reference: str, signal: str = "SIGKILL") -> ContainerRecord:
    """Send a signal.  Raises: NotFound; Conflict: not running; Invalid: no such signal."""
    record = host.runtime.containers.get(reference)
    lifecycle.kill(host.runtime, record, signal)
    return record


def wait(host: Host, reference: str) -> int:
    """Wait for a container's end; returns its exit status.  Raises: NotFound."""
    record = host.runtime.containers.get(reference)
    status = lifecycle.wait(host.runtime, record)
    return 0 if status is None else status


def remove(
    host: Host, reference: str, *, force: bool = False, volumes: bool = False
) -> ContainerRecord:
    """Remove a container.  Raises: NotFound; Conflict: it runs and `force` is not set."""
    record = host.runtime.containers.get(reference)
    snapshotter = host.snapshotter
    if record.driver and record.driver != snapshotter.driver:
        from corten.snapshot.probing import choose

        snapshotter = choose(host.root, record.driver)
    lifecycle.remove(host.runtime, record, snapshotter, force=force, volumes=volumes)
    return record


def rename(host: Host, reference: str, name: str) -> ContainerRecord:
    """Give a container another name.  Raises: NotFound; Conflict; Invalid."""
    return host.runtime.containers.rename(host.runtime.containers.get(reference), name)


def execute(
    host: Host, reference: str, process: Process, streams: Streams, *, detach: bool = False
) -> int:
    """Run one more process in a running container; returns its exit status.

    Raises: NotFound; Conflict: it does not run; CannotExecute.
    """
    from corten.runtime import execution

    record = host.runtime.containers.get(reference)
    return execution.execute(host.runtime, record, process, streams, detach=detach)


def logs(
    host: Host, reference: str, *, tail: int | None = None, follow: bool = False
) -> Iterator[LogEntry]:
    """What a container wrote; with `follow` also what it is going to write.  Raises: NotFound."""
    record = host.runtime.containers.get(reference)

    def running() -> bool:
        return lifecycle.state(host.runtime, record).status is Status.RUNNING

    path = host.runtime.directory(record) / "log"
    return read_log(path, tail=tail, follow=running if follow else None)


def containers(
    host: Host, *, everything: bool = False, unreadable: Callable[[Corrupt], object] | None = None
) -> Iterator[ContainerRow]:
    """The running containers, or all of them, newest first; see `ContainerStore.walk`."""
    for record in host.runtime.containers.walk(unreadable):
        row = row_of(host, record)
        if everything or row.state.status is Status.RUNNING:
            yield row


def row_of(host: Host, record: ContainerRecord) -> ContainerRow:
    """A container with its state and the ports that are bound for it now."""
    state = lifecycle.state(host.runtime, record)
    ports = record.ports
    if state.status is Status.RUNNING and ports:
        lease = host.runtime.network.lease(record.id)
        ports = lease.ports if lease is not None else ports
    return ContainerRow(record, state, ports if state.status is Status.RUNNING else ())


def rootfs_of(host: Host, record: ContainerRecord) -> tuple[Mount, ...]:
    """How to mount a container's file system, with the driver that it was made with.

    A layer that the driver lost is made again, as far as its image is here.
    """
    snapshotter = host.snapshotter
    if record.driver and record.driver != snapshotter.driver:
        return host.driver(record.driver).mounts(record.snapshot)
    try:
        return snapshotter.mounts(record.snapshot)
    except NotFound:
        root = host.store.blobs.typed(Digest(record.manifest)) if record.manifest else None
        if root is None:
            raise
    with host.store.lease():
        ensure_applied(host, load_image(host.store, root, host.platform), Job())
    return snapshotter.mounts(record.snapshot)
