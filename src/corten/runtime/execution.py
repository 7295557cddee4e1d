"""`exec`: one more process in a running container."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from pathlib import Path

import msgspec

from corten.errors import CortenError, Usage
from corten.runtime.attach import Streams, forwarding
from corten.runtime.containers import ContainerRecord
from corten.runtime.failures import RuntimeFailed, read_failure
from corten.runtime.host import Runtime
from corten.runtime.launch import environment, isolation
from corten.runtime.protocols import Process, Sandbox
from corten.runtime.specification import process_config
from corten.runtime.state import process_handle, read_started
from corten.runtime.users import resolve_user
from corten.system.namespaces import in_private_mounts


def execute(
    runtime: Runtime,
    record: ContainerRecord,
    process: Process,
    streams: Streams | None = None,
    *,
    detach: bool = False,
) -> int:
    """Run `process` in the running container, on our own streams; its exit status.

    Empty ``user`` and ``cwd`` mean the container's, ``env`` adds to the
    container's.  ``streams.stdin`` -1: no input.  A terminal (``process.tty``) needs one at
    ``streams.stdin``.  Signals to this process are passed on.  With `detach` the
    process is left running and 0 returned.

    Raises: Conflict: the container does not run; Usage: no terminal; Invalid;
    CannotExecute (status 126, 127); RuntimeFailed.
    """
    streams = streams or Streams()
    if process.tty and not (streams.stdin >= 0 and os.isatty(streams.stdin)):
        raise Usage("the input is not a terminal", hint="leave out -t")
    directory = runtime.directory(record)
    with (
        process_handle(record, directory),
        tempfile.TemporaryDirectory(prefix="exec-", dir=directory) as folder,
    ):
        scratch = Path(folder)
        _write_process(runtime, record, process, scratch / "process.json")
        crun = in_private_mounts(lambda: _start(runtime, record, scratch, streams, detach))
        with forwarding(lambda number: _pass_on(scratch / "pid", number)):
            status = crun.wait()
        error = read_failure(scratch / "log", process.args[0] if process.args else "")
    if error is not None and not _is_command_status(status, error):
        raise error
    return status if status >= 0 else 128 - status


def _start(
    runtime: Runtime, record: ContainerRecord, scratch: Path, streams: Streams, detach: bool
) -> subprocess.Popen[bytes]:
    quiet = subprocess.DEVNULL
    return subprocess.Popen(
        [
            *runtime.crun(scratch / "log"),
            *("exec", "--process", str(scratch / "process.json")),
            *("--pid-file", str(scratch / "pid")),
            *(("--detach",) if detach else ()),
            record.id,
        ],
        stdin=streams.stdin if streams.stdin >= 0 and not detach else quiet,
        stdout=quiet if detach else streams.stdout,
        stderr=quiet if detach else streams.stderr,
    )


def _write_process(runtime: Runtime, record: ContainerRecord, process: Process, path: Path) -> None:
    started = read_started(runtime.directory(record))
    if started is None:
        raise RuntimeFailed(f"container {record.name} is gone")
    base = record.process
    process = msgspec.structs.replace(
        process,
        env=(*environment(record), *process.env),
        cwd=process.cwd or base.cwd,
        user=process.user or base.user,
    )
    root = os.open(f"/proc/{started.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        user = resolve_user(root, process.user)
    finally:
        os.close(root)
    sandbox = Sandbox(rootfs=(), privileged=record.privileged)
    config = process_config(process, sandbox, user, isolation(runtime, record))
    path.write_text(json.dumps(config))


def _pass_on(pid_file: Path, number: int) -> None:
    with contextlib.suppress(OSError, ValueError):
        os.kill(int(pid_file.read_text()), number)
    if number == signal.SIGHUP:
        raise SystemExit(128 + number)


def _is_command_status(status: int, error: CortenError) -> bool:
    """Whether crun's complaint came although the command ran (a terminal that went away)."""
    return isinstance(error, RuntimeFailed) and status not in {0, 1}
