"""Starting a container under conmon, which outlives the command that started it.

conmon keeps the container's streams (and its terminal), writes the log and the
exit status, and starts a program of ours at the end.  It lives in a mount
namespace of its own: with it go the container's mounts and its network namespace.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

from corten.errors import CortenError
from corten.runtime.containers import ContainerRecord
from corten.runtime.failures import RuntimeFailed, failure, read_failure
from corten.runtime.host import Runtime
from corten.system.namespaces import in_private_mounts
from corten.system.process import find_program

_MESSAGE_LIMIT = 1024 * 1024


class Created(msgspec.Struct, frozen=True):
    """A container that waits for `crun start`."""

    pid: int
    monitor: int


def launch(runtime: Runtime, record: ContainerRecord, held: Sequence[int]) -> Created:
    """Start conmon and, through it, ``crun create``.

    Called in the mount namespace that the container shall have; the bundle is in
    the container's directory.  `held` are descriptors that conmon keeps open.
    Raises: CannotExecute; RuntimeFailed.
    """
    directory = runtime.directory(record)
    (directory / "exit").mkdir(exist_ok=True)
    reading, writing = os.pipe()
    with open(reading, "rb") as messages:
        try:
            conmon = subprocess.Popen(
                _conmon(runtime, record, directory),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={**os.environ, "_OCI_SYNCPIPE": str(writing)},
                pass_fds=(writing, *held),
                start_new_session=True,
            )
        finally:
            os.close(writing)
        with conmon:
            message = messages.readline(_MESSAGE_LIMIT)
            assert conmon.stderr is not None
            complaint = b"" if message else conmon.stderr.read(65536)
    pid = _reported_pid(message)
    if pid <= 0:
        raise _why_not(directory, record, message or complaint)
    return Created(pid, _read_pid(directory / "conmon.pid"))


def kill_monitor(runtime: Runtime, record: ContainerRecord) -> None:
    """Kill the monitor of a start that failed half way, known only by its pid file."""
    pid = _read_pid(runtime.directory(record) / "conmon.pid")
    with contextlib.suppress(OSError):
        # Should the number be another process's by now: a monitor has the id in its arguments.
        if pid > 1 and record.id.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)


def run_crun(runtime: Runtime, command: Sequence[str], log: Path | None = None) -> int:
    """Run a command of crun to its end, in a mount namespace that it can stand."""
    return in_private_mounts(
        lambda: (
            subprocess.run(
                [*runtime.crun(log), *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            ).returncode
        )
    )


def crun_start(runtime: Runtime, record: ContainerRecord) -> None:
    """Let a created container's command run.  Raises: CannotExecute; RuntimeFailed."""
    if _let_go(runtime.crun_root / record.id / "exec.fifo"):
        return
    log = runtime.directory(record) / "log.crun"
    if run_crun(runtime, ["start", record.id], log) != 0:
        error = read_failure(log, record.process.args[0])
        raise error or RuntimeFailed(f"crun could not start container {record.name}")


def _let_go(fifo: Path) -> bool:
    """What ``crun start`` does, without starting a program for it: a byte into the pipe.

    False: nobody waits at it (the container ended, or crun has changed): crun shall say.
    """
    try:
        fd = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # While it is there crun calls the container "created".
        fifo.unlink(missing_ok=True)
        os.write(fd, b"\0")
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _conmon(runtime: Runtime, record: ContainerRecord, directory: Path) -> list[str]:
    program, *arguments = runtime.exit_arguments(record)
    crun, *options = runtime.crun(directory / "log.crun")
    command = [
        find_program("conmon"),
        *("--api-version", "1", "--cid", record.id, "--cuuid", record.id),
        *("--name", record.name, "--runtime", crun, "--bundle", str(directory)),
        *("--container-pidfile", str(directory / "pid")),
        *("--conmon-pidfile", str(directory / "conmon.pid")),
        *("--exit-dir", str(directory / "exit")),
        *("--log-path", f"k8s-file:{directory / 'log'}", "--log-level", "error"),
        # Flushing the disk for a log would make every container's end slow.
        *("--full-attach", "--no-sync-log"),
    ]
    for option in options:
        command += ["--runtime-arg", option]
    command += ["--exit-command", program]
    for argument in arguments:
        command += ["--exit-command-arg", argument]
    if record.process.tty:
        # Its input goes over the terminal.  With --stdin conmon would close that, and
        # with it all output, when the first client goes: nobody could attach again.
        command.append("--terminal")
    elif record.interactive:
        command.append("--stdin")
    return command


def _read_pid(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def _reported_pid(message: bytes) -> int:
    """What conmon said: ``{"data": 12}``, or -1 with a ``message``."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return int(msgspec.json.decode(message)["data"])
    return -1


def _why_not(directory: Path, record: ContainerRecord, message: bytes) -> CortenError:
    command = record.process.args[0]
    error = read_failure(directory / "log.crun", command)
    if error is not None:
        return error
    text = message.decode("utf-8", "replace").strip()
    with contextlib.suppress(ValueError, TypeError, KeyError):
        text = str(msgspec.json.decode(message)["message"]).strip()
    return failure(text or "conmon ended without a message", command)
