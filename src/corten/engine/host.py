"""`Host`: everything that the use cases of one machine act upon, as one frozen value."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from corten.config.settings import Settings
from corten.errors import Usage
from corten.oci.platform import Platform, normalized

if TYPE_CHECKING:
    from corten.content.local import LocalStore
    from corten.oci.digest import Digest
    from corten.runtime.containers import ContainerStore
    from corten.runtime.crun import CrunExecutor
    from corten.runtime.host import Runtime
    from corten.snapshot.protocols import Snapshotter


class Host(msgspec.Struct, frozen=True, dict=True):
    """One root directory with its store, snapshots and containers, each opened when first used.

    A context manager that closes what was opened.
    """

    settings: Settings

    @classmethod
    def open(cls, root: str | Path | None = None) -> Host:
        """The host whose root is `root`, else the one that the environment names."""
        return cls(Settings.load(os.environ, str(root) if root else None))

    @property
    def root(self) -> Path:
        """Where all of it lies."""
        return self.settings.root

    @cached_property
    def store(self) -> LocalStore:
        """The local images.  Raises: Usage: the root cannot be a directory."""
        from corten.content.local import LocalStore

        # Images may hold secrets, and layers programs that are setuid: nobody else looks in.
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise Usage(
                f"the root {self.root} is no directory", hint="choose another --root or CORTEN_ROOT"
            ) from None
        return LocalStore(self.root, self.platform)

    @cached_property
    def snapshotter(self) -> Snapshotter:
        """The storage driver, named or chosen by probing.  Raises: as `probing.choose`."""
        return self.driver(self.settings.storage_driver)

    def driver(self, name: str) -> Snapshotter:
        """The storage driver `name`: what was made by it needs it, whichever is in use now.

        Raises: as `probing.choose`.
        """
        from corten.snapshot.probing import choose

        def restore(diff_id: Digest) -> bool:
            from corten.engine.restoring import restore_tar

            return restore_tar(self.store, diff_id)

        return choose(self.root, name, restore, self.settings.merge_limit)

    @cached_property
    def runtime(self) -> Runtime:
        """The containers."""
        from corten.runtime.host import Runtime

        return Runtime(self.root)

    @property
    def containers(self) -> ContainerStore:
        """What containers there are, without what it takes to run one."""
        from corten.runtime.containers import ContainerStore

        return ContainerStore(self.root)

    @cached_property
    def executor(self) -> CrunExecutor:
        """What runs build steps."""
        from corten.runtime.crun import CrunExecutor

        return CrunExecutor(self.root)

    def close(self) -> None:
        """Close what was opened."""
        if "store" in self.__dict__:
            self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def platform(self) -> Platform:
        """What this machine runs."""
        machine = os.uname()
        return normalized(machine.sysname, machine.machine)
