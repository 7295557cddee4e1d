"""Runs a RUN step: a sandbox on a snapshot of the layers below, and what changed as a layer.

Nothing is left behind by a step that fails or is cancelled: the snapshot is removed, and
mounts live in namespaces of their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from corten.builder.graph import Run, Step
from corten.builder.setting import Setting
from corten.builder.stacks import Stacks, new_key
from corten.builder.surroundings import surroundings
from corten.events.job import Job
from corten.oci.digest import Digest
from corten.runtime.protocols import PrivateFile, Process, Sandbox, View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from corten.builder.failing import RunFailed
    from corten.runtime.protocols import Executor

_EMPTY_TAR = 1024
_SHELL = "/bin/sh"


class Runner(NamedTuple):
    """What runs RUN steps; see the module."""

    stacks: Stacks
    executor: Callable[[], Executor]
    setting: Setting

    def run(
        self, step: Step, op: Run, inputs: Sequence[tuple[Digest, ...]], job: Job
    ) -> tuple[Digest | None, int]:
        """The layer that the step made (None: nothing changed), and when (Unix seconds).

        `inputs` are stacks of layers: what it runs on, then what its mounts show.
        Raises: StepFailed: it ended with a failure; NotFound: what it mounts; Cancelled;
        Unavailable.
        """
        snapshotter = self.stacks.snapshotter
        key = new_key("run")
        with ExitStack() as stack:
            stack.callback(snapshotter.remove, key)
            process, sandbox = self._prepare(key, op, inputs, stack, job)
            status = self.executor().run(key, process, sandbox, job.output, job)
            if status:
                error = self._failed(step, op, status)
                if self.setting.failed is not None:
                    shell = msgspec.structs.replace(process, args=(_SHELL,))
                    error.shell = lambda: self.executor().shell(key, shell, sandbox)
                    error.kept = stack.pop_all()
                    self.setting.failed.append(error)
                raise error
            job.check()
            with self.stacks.new_layer() as layer:
                snapshotter.diff(key, layer.write)
                changed = layer.size > _EMPTY_TAR
                return (layer.commit() if changed else None), int(time.time())

    def _failed(self, step: Step, op: Run, status: int) -> RunFailed:
        from corten.builder.failing import run_failed

        setting = self.setting
        origin = setting.origins.get(step.digest)
        return run_failed(op, status, setting.place(step), setting.text, origin)

    def _prepare(
        self,
        key: str,
        op: Run,
        inputs: Sequence[tuple[Digest, ...]],
        stack: ExitStack,
        job: Job,
    ) -> tuple[Process, Sandbox]:
        """The process and its sandbox; what they need goes with `stack`."""
        setting = self.setting
        network = setting.network_of(op)
        extra = surroundings(op.env, network, setting.build_args, setting.environ)
        files, binds = _own_files(op, extra.hosts), extra.binds
        secret_env: tuple[str, ...] = ()
        env = (*op.env, *extra.env)
        views: tuple[View, ...] = ()
        if op.mounts:
            from corten.builder.mounting import Mounting

            mounted = Mounting(self.stacks, setting, inputs, stack, job).mount(op)
            binds = (*binds, *mounted.binds)
            files = (*files, *mounted.files)
            views, secret_env = mounted.views, mounted.secret_env
            env = (*env, *mounted.env)
        sandbox = Sandbox(
            rootfs=self.stacks.prepare(key, inputs[0]),
            binds=binds,
            network=network,
            resolv_conf=extra.resolv_conf,
            hosts="" if op.hosts else extra.hosts,
            privileged=op.security == "insecure",
            files=files,
            views=views,
        )
        return Process(op.args, env, op.cwd, op.user, secret_env=secret_env), sandbox


def _own_files(op: Run, hosts: str) -> tuple[PrivateFile, ...]:
    """The program that stands in the Dockerfile, and the names of hosts."""
    files = []
    if op.script:
        files.append(PrivateFile(op.args[0], op.script.encode(), 0o755))
    if op.hosts:
        from pathlib import Path

        text = Path(hosts).read_text() if hosts else "127.0.0.1\tlocalhost\n::1\tlocalhost\n"
        if not text.endswith("\n"):
            text += "\n"
        for entry in op.hosts:
            name, _, address = entry.partition("=")
            text += f"{address}\t{name}\n"
        files.append(PrivateFile("/etc/hosts", text.encode(), 0o644))
    return tuple(files)
