"""Runs a RUN step: a sandbox on a snapshot of the layers below, and what changed as a layer.

Nothing is left behind by a step that fails or is cancelled: the snapshot is removed, and
mounts live in namespaces of their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from corten.builder.graph import Run, Step
from corten.builder.setting import Setting
from corten.builder.stacks import Stacks, new_key
from corten.builder.surroundings import surroundings
from corten.errors import StepFailed
from corten.events.job import Job
from corten.oci.digest import Digest
from corten.runtime.protocols import Process, Sandbox

if TYPE_CHECKING:
    from corten.runtime.protocols import Executor

_EMPTY_TAR = 1024


class Runner(NamedTuple):
    """What runs RUN steps; see the module."""

    stacks: Stacks
    executor: Callable[[], Executor]
    setting: Setting

    def run(
        self, step: Step, op: Run, layers: tuple[Digest, ...], job: Job
    ) -> tuple[Digest | None, int]:
        """The layer that the step made (None: nothing changed), and when (Unix seconds).

        Raises: StepFailed: it ended with a failure; Cancelled; Unavailable.
        """
        setting, snapshotter = self.setting, self.stacks.snapshotter
        network = setting.network if op.network == "default" else op.network
        extra = surroundings(op.env, network, setting.build_args, setting.environ)
        key = new_key("run")
        try:
            sandbox = Sandbox(
                rootfs=self.stacks.prepare(key, layers),
                binds=extra.binds,
                network=network,
                resolv_conf=extra.resolv_conf,
                hosts=extra.hosts,
            )
            process = Process(op.args, (*op.env, *extra.env), op.cwd, op.user)
            status = self.executor().run(key, process, sandbox, job.output, job)
            if status:
                raise _failed(setting.place(step), op, status)
            job.check()
            with self.stacks.new_layer() as layer:
                snapshotter.diff(key, layer.write)
                changed = layer.size > _EMPTY_TAR
                return (layer.commit() if changed else None), int(time.time())
        finally:
            snapshotter.remove(key)


def _failed(place: str, op: Run, status: int) -> StepFailed:
    command = " ".join(op.args)
    if len(command) > 200:
        command = f"{command[:199]}…"
    hint = "killed by a signal" if status > 128 else ""
    return StepFailed(
        f"{place}RUN failed with exit status {status}: {command}", status=status, hint=hint
    )
