"""`Runtime`: where containers of one root live, as one frozen value that functions take."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from corten.runtime.containers import ContainerRecord, ContainerStore
from corten.runtime.crun import root_scope
from corten.runtime.networks import BridgeNetwork
from corten.runtime.specification import Isolation
from corten.system.cgroup import cgroup_mode, crun_options
from corten.system.process import find_program


class Runtime(msgspec.Struct, frozen=True):
    """The runtime of one root.

    ``exit_command`` is run, with the container's full id as last argument, when a container
    ends and no command of ours waits for it: it has to call
    :func:`corten.runtime.lifecycle.settle` and, for ``auto_remove``, remove the container.
    """

    root: Path
    exit_command: tuple[str, ...] = ()
    isolation: Isolation = msgspec.field(default_factory=Isolation)

    @property
    def containers(self) -> ContainerStore:
        """The containers of the root."""
        return ContainerStore(self.root)

    @property
    def scope(self) -> str:
        """What tells this root's kernel objects from other roots'."""
        return root_scope(self.root)

    @property
    def network(self) -> BridgeNetwork:
        """The bridge of the root."""
        return BridgeNetwork(self.root, self.scope)

    @property
    def crun_root(self) -> Path:
        """Where crun keeps its records."""
        return self.root / "run" / "crun"

    def directory(self, record: ContainerRecord) -> Path:
        """Where the container keeps its files."""
        return self.containers.directory(record.id)

    def exit_arguments(self, record: ContainerRecord) -> list[str]:
        """The program that conmon starts when the container ends.

        Nothing happens if a command of ours attends the container (holds the
        lock that flock(1) tries): it then settles everything itself, sooner.
        """
        ours = (sys.executable, "-m", "corten.runtime.cleanup", str(self.root))
        return [
            find_program("flock"),
            *("--nonblock", "--conflict-exit-code", "0"),
            str(self.directory(record) / "attended"),
            *(self.exit_command or ours),
            record.id,
        ]

    def crun(self, log: Path | None = None) -> list[str]:
        """crun with the options that all its commands share, for a private mount namespace."""
        logging = ["--log", str(log), "--log-format", "json"] if log else []
        return [
            find_program("crun"),
            *("--root", str(self.crun_root)),
            *logging,
            *crun_options(cgroup_mode()),
        ]
