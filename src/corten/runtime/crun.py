"""`CrunExecutor`: runs one process to its end in a sandbox, with crun.

One program is started a run: crun, which the kernel's namespaces hang on.  All
mounts are in a mount namespace of their own; what a run needs on disk lies in
one directory, locked while the run's owner lives, so that what a killed owner
leaves behind can be told from a run that goes on (:meth:`CrunExecutor.sweep`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from corten.errors import Cancelled, Conflict, Invalid
from corten.events.job import Job
from corten.runtime.assembly import assemble
from corten.runtime.failures import read_failure
from corten.runtime.filter import filter_annotation
from corten.runtime.private import (
    PRIVATE,
    Sockets,
    answering,
    furnish,
    is_private,
    private_folder,
)
from corten.runtime.protocols import Bind, OnOutput, Process, Sandbox
from corten.runtime.specification import Isolation, runtime_config
from corten.runtime.users import resolve_user
from corten.system.cgroup import (
    CgroupMode,
    cgroup_mode,
    cgroup_path,
    cgroup_processes,
    crun_options,
    remove_cgroup,
)
from corten.system.locks import try_lock
from corten.system.namespaces import in_private_mounts
from corten.system.process import find_program, process_ticks

INIT_PATH = "/dev/init"
FILTERS = "seccomp"
STEPS = "steps"
"""Where below ``ROOT/run`` the bundles of build steps are."""
"""Where compiled profiles are kept, below ``ROOT/run``."""

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_POLL = 0.1
_PATIENCE, _PAUSE = 1.0, 0.01
"""Seconds for which a run waits for those that look whether its directory is anybody's."""
_PIECE = 65536


class CrunExecutor:
    """An `Executor` over crun.  ``root`` is the store's root; all runs lie under ``root/run``.

    May be used from several threads and processes.
    """

    def __init__(self, root: Path, isolation: Isolation | None = None) -> None:
        self._run = root / "run"
        self._isolation = isolation or Isolation()
        # Control groups are the machine's, keys are a root's.
        self._scope = root_scope(root)

    def run(self, key: str, process: Process, sandbox: Sandbox, output: OnOutput, job: Job) -> int:
        """See :class:`corten.runtime.protocols.Executor`.  There is no terminal and no input.

        Raises also: Conflict: a run of this key goes on; CannotExecute (Invalid),
        with the status 127 or 126, by the command; RuntimeFailed.
        """
        if not _KEY.fullmatch(key):
            raise Invalid(f"{key!r} cannot name a run")
        job.check()
        with self._bundle(key, _PATIENCE) as bundle:
            crun, sockets = in_private_mounts(
                lambda: self._start(
                    key, bundle, msgspec.structs.replace(process, tty=False), sandbox
                )
            )
            try:
                relay = _Relay(output)
                with answering(sockets):
                    status = _follow(crun, relay, job)
            except BaseException:
                self._kill(key, bundle, crun)
                raise
            error = read_failure(bundle / "log", process.args[0])
            if error is not None:
                raise error
            relay.flush()
            return status if status >= 0 else 128 - status

    def shell(self, key: str, process: Process, sandbox: Sandbox) -> int:
        """See :class:`corten.runtime.protocols.Executor`."""
        process = msgspec.structs.replace(process, tty=True)
        with self._bundle(key, _PATIENCE) as bundle:
            crun, sockets = in_private_mounts(lambda: self._start(key, bundle, process, sandbox))
            try:
                with answering(sockets):
                    status = crun.wait()
            except BaseException:
                self._kill(key, bundle, crun)
                raise
            if status and (error := read_failure(bundle / "log", process.args[0])) is not None:
                raise error
            return status if status >= 0 else 128 - status

    def sweep(self) -> int:
        """Kill and remove runs whose owner died; returns how many there were."""
        count = 0
        for draft in (self._run / FILTERS).glob(".*"):
            draft.unlink(missing_ok=True)  # to who is writing it, it does not matter
        for bundle in sorted((self._run / STEPS).glob("*/")):
            with contextlib.suppress(Conflict), self._bundle(bundle.name):
                count += 1
        return count

    @contextlib.contextmanager
    def _bundle(self, key: str, patience: float = 0.0) -> Iterator[Path]:
        """The run's directory, ours alone, empty but for ``rootfs``; removed at the end."""
        bundle = self._run / STEPS / key
        lock = _own(bundle, time.monotonic() + patience)
        try:
            if (bundle / "config.json").exists():
                self._remove_remains(key, bundle)
            try:
                yield bundle
            finally:
                self._forget(key, bundle)
        finally:
            os.close(lock)

    def _start(
        self, key: str, bundle: Path, process: Process, sandbox: Sandbox
    ) -> tuple[subprocess.Popen[bytes], Sockets]:
        """Mount, describe, start crun.  Called in a mount namespace of its own."""
        config = bundle
        state = self._run / "crun"
        sockets: Sockets = ()
        if is_private(process, sandbox):
            (bundle / "config.json").touch()  # for those that look whether a run was begun
            config = bundle / PRIVATE
            config.mkdir(exist_ok=True)
            private_folder(config)
            state = config / "crun"
            process, sandbox, sockets = furnish(process, sandbox, bundle / "rootfs", config)
        else:
            assemble(sandbox.rootfs, bundle / "rootfs", sandbox.binds, bundle / "mountpoints")
        try:
            return self._launch(key, bundle, (config, state), process, sandbox), sockets
        except BaseException:
            for listener, _ in sockets:
                listener.close()
            raise

    def _launch(
        self,
        key: str,
        bundle: Path,
        places: tuple[Path, Path],
        process: Process,
        sandbox: Sandbox,
    ) -> subprocess.Popen[bytes]:
        """Start crun on what is mounted; `places` are for its configuration and its state."""
        config, state = places
        mode = cgroup_mode()
        isolation = self._isolation
        if mode is not CgroupMode.NONE:
            isolation = msgspec.structs.replace(isolation, cgroup=cgroup_path(self._cgroup(key)))
        process, sandbox = with_init(process, sandbox)
        write_config(bundle, process, sandbox, isolation, self._run / FILTERS, config)
        return subprocess.Popen(
            [
                find_program("crun"),
                *("--root", str(state)),
                *("--log", str(bundle / "log"), "--log-format", "json"),
                *crun_options(mode),
                *("run", "--bundle", str(config), "--pid-file", str(bundle / "pid"), key),
            ],
            stdin=None if process.tty else subprocess.DEVNULL,
            stdout=None if process.tty else subprocess.PIPE,
            stderr=None if process.tty else subprocess.PIPE,
            # Away from the terminal's Ctrl-C: it is the job that is cancelled.
            start_new_session=not process.tty,
        )

    def _cgroup(self, key: str) -> str:
        return f"{self._scope}-{key}"

    def _kill(self, key: str, bundle: Path, crun: subprocess.Popen[bytes]) -> None:
        """Kill the container, let crun clean up after it, insist after two seconds."""
        with crun:
            for stream in (crun.stdout, crun.stderr):
                if stream is not None:
                    stream.close()
            end = time.monotonic() + 2.0
            while crun.poll() is None and time.monotonic() < end:
                _kill_first(bundle)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    crun.wait(0.02)
            if crun.poll() is None:
                crun.kill()
                crun.wait()
                self._remove_remains(key, bundle)

    def _remove_remains(self, key: str, bundle: Path) -> None:
        """What a killed crun left: processes, control groups, its record."""
        kill_group(self._cgroup(key))
        shutil.rmtree(self._run / "crun" / key, ignore_errors=True)
        for name in ("pid", "log", "config.json"):
            (bundle / name).unlink(missing_ok=True)

    def _forget(self, key: str, bundle: Path) -> None:
        for name in ("pid", "log", "config.json"):
            (bundle / name).unlink(missing_ok=True)
        shutil.rmtree(bundle / "mountpoints", ignore_errors=True)
        remove_cgroup(self._cgroup(key))
        for folder in (bundle / "rootfs", bundle / PRIVATE, bundle):
            with contextlib.suppress(OSError):
                folder.rmdir()


def _own(bundle: Path, deadline: float) -> int:
    """A descriptor with the lock of `bundle`, which is made with its ``rootfs``.

    A sweep may have the lock for a moment, or take the directory away before we have it.
    Raises: Conflict: another has it beyond the deadline, of the monotonic clock.
    """
    while True:
        with contextlib.suppress(FileNotFoundError, FileExistsError):  # it went at that moment
            (bundle / "rootfs").mkdir(parents=True, exist_ok=True)
            lock = os.open(bundle, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                if try_lock(lock) and os.path.samestat(bundle.stat(), os.fstat(lock)):
                    return lock
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)
        if time.monotonic() > deadline:
            raise Conflict(f"a run named {bundle.name} goes on already")
        time.sleep(_PAUSE)


def root_scope(root: Path) -> str:
    """Eight hex digits that tell this root's kernel objects from another root's."""
    return hashlib.sha256(os.fsencode(root.absolute())).hexdigest()[:8]


def write_config(
    bundle: Path,
    process: Process,
    sandbox: Sandbox,
    isolation: Isolation,
    filters: Path,
    folder: Path | None = None,
) -> None:
    """Resolve the user in the tree mounted at ``bundle/rootfs`` and write ``config.json``.

    It goes to `folder`, else `bundle`; `filters` is where compiled seccomp profiles are kept.
    Raises: Invalid.
    """
    rootfs = bundle / "rootfs"
    root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        user = resolve_user(root, process.user)
    finally:
        os.close(root)
    config = runtime_config(process, sandbox, user, str(rootfs), isolation)
    if profile := config["linux"].get("seccomp"):
        config["annotations"] = filter_annotation(profile, filters)
    ((folder or bundle) / "config.json").write_bytes(msgspec.json.encode(config))


def with_init(process: Process, sandbox: Sandbox) -> tuple[Process, Sandbox]:
    """If the sandbox asks for it: a small init (tini) as first process, which reaps orphans."""
    if not sandbox.init:
        return process, sandbox
    init = Bind(INIT_PATH, find_program("tini-static"), readonly=True)
    return (
        msgspec.structs.replace(process, args=(INIT_PATH, "--", *process.args)),
        msgspec.structs.replace(sandbox, binds=(*sandbox.binds, init)),
    )


class _Relay:
    """Passes output on, but for the first error output, which may be crun's own complaint.

    That is held back until more comes or a moment passes; if crun failed it is
    dropped: the error that is raised says the same.
    """

    def __init__(self, output: OnOutput) -> None:
        self._output = output
        self._held = b""
        self._first = True

    def pass_on(self, stream: int, data: bytes) -> None:
        self.flush()
        if stream == 2 and self._first:
            self._first, self._held = False, data
        else:
            self._output(stream, data)

    def flush(self) -> None:
        held, self._held = self._held, b""
        if held:
            self._output(2, held)


def _follow(crun: subprocess.Popen[bytes], relay: _Relay, job: Job) -> int:
    """Pass on output until both streams end, then return crun's status.  Raises: Cancelled."""
    assert crun.stdout is not None
    assert crun.stderr is not None
    with selectors.DefaultSelector() as selector:
        selector.register(crun.stdout, selectors.EVENT_READ, 1)
        selector.register(crun.stderr, selectors.EVENT_READ, 2)
        while selector.get_map():
            events = selector.select(_POLL)
            if not events:
                relay.flush()
            for ready, _ in events:
                if data := os.read(ready.fd, _PIECE):
                    relay.pass_on(ready.data, data)
                else:
                    selector.unregister(ready.fileobj)
            if job.cancelled:
                raise Cancelled("cancelled")
    while True:
        job.check()
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = crun.wait(_POLL)
            break
    crun.stdout.close()
    crun.stderr.close()
    return status


def _kill_first(bundle: Path) -> None:
    """Kill the container's first process: the kernel then kills all others in its namespace."""
    with contextlib.suppress(OSError, ValueError):
        os.kill(int((bundle / "pid").read_text()), signal.SIGKILL)


def kill_group(group: str) -> None:
    """Kill what is in a control group of ours, and remove the group."""
    end = time.monotonic() + 2.0
    while time.monotonic() < end:
        left = [pid for pid in cgroup_processes(group) if process_ticks(pid)]
        if not left:
            break
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    remove_cgroup(group)
