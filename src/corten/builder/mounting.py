"""From the mounts of a RUN to what its sandbox gets."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from corten.builder.cache_mounts import Seed, Wanted, copy_tree, held
from corten.builder.graph import Run
from corten.builder.lower_run import BOUND
from corten.builder.setting import Setting
from corten.builder.stacks import Stacks, new_key
from corten.dockerfile.mounts import (
    BindMount,
    CacheMount,
    SecretMount,
    SshMount,
    TmpfsMount,
)
from corten.errors import Invalid, NotFound
from corten.events.job import Job
from corten.oci.digest import Digest
from corten.runtime.protocols import Bind, PrivateFile, View

Layers = Sequence[tuple[Digest, ...]]


class Mounted(NamedTuple):
    """What mounts come to: see :class:`corten.runtime.protocols.Sandbox`."""

    binds: tuple[Bind, ...] = ()
    files: tuple[PrivateFile, ...] = ()
    views: tuple[View, ...] = ()
    env: tuple[str, ...] = ()
    secret_env: tuple[str, ...] = ()


class Mounting:
    """Makes the mounts of one step, to be left with `stack`.  ``inputs`` are its stacks of layers."""

    def __init__(
        self, stacks: Stacks, setting: Setting, inputs: Layers, stack: ExitStack, job: Job
    ) -> None:
        self._stacks = stacks
        self._setting = setting
        self._inputs = inputs
        self._stack = stack
        self._job = job
        self._binds: list[Bind] = []
        self._files: list[PrivateFile] = []
        self._views: list[View] = []
        self._env: list[str] = []
        self._secret_env: list[str] = []

    def mount(self, op: Run) -> Mounted:
        """Raises: NotFound: what is mounted, or a secret; Cancelled; as `Stacks.prepare`."""
        agents = 0
        caches = []
        for mount in op.mounts:
            match mount:
                case BindMount():
                    self._bind(mount)
                case CacheMount():
                    caches.append(mount)
                case TmpfsMount():
                    size = (f"size={mount.size}",) if mount.size else ()
                    options = ("mode=1777", *size)
                    self._binds.append(Bind(mount.target, type="tmpfs", options=options))
                case SecretMount():
                    self._secret(mount)
                case SshMount():
                    self._ssh(mount, agents)
                    agents += 1
        if caches:
            self._caches(caches)
        return Mounted(
            tuple(self._binds),
            tuple(self._files),
            tuple(self._views),
            tuple(self._env),
            tuple(self._secret_env),
        )

    def _layers(self, mount: BindMount | CacheMount) -> tuple[Digest, ...]:
        return self._inputs[int(mount.origin)]

    def _bind(self, mount: BindMount) -> None:
        layers = self._layers(mount)
        key = new_key("bound")
        self._stack.callback(self._stacks.snapshotter.remove, key)
        mounts = self._stacks.prepare(key, layers, readonly=mount.readonly) if layers else ()
        label = f"what is to be mounted at {mount.target}"
        source = mount.source if layers or mount.source != BOUND else "/"
        self._views.append(View(mount.target, mounts, source, mount.readonly, label))

    def _caches(self, mounts: Sequence[CacheMount]) -> None:
        wanted = []
        for mount in mounts:
            if mount.origin:
                layers = self._layers(mount)
                wanted.append(Wanted(mount, layers, self._seed(layers, mount.source)))
            else:
                wanted.append(Wanted(mount))
        paths = self._stack.enter_context(held(self._setting.folder, wanted, self._job))
        for mount in mounts:
            path = str(paths[mount.target])
            self._binds.append(Bind(mount.target, path, readonly=mount.readonly))

    def _seed(self, layers: tuple[Digest, ...], source: str) -> Seed:
        """What copies the beginning of a cache."""

        def copy(target: Path) -> None:
            with self._stacks.view(layers, "what the cache mount begins with") as tree:
                copy_tree(tree.fd, tree.resolve(source), target)

        return copy

    def _secret(self, mount: SecretMount) -> None:
        source = self._setting.given.secrets.get(mount.id)
        if source is None:
            if mount.required:
                raise NotFound(
                    f"the secret {mount.id} is required and not given",
                    hint=f"corten build --secret id={mount.id},src=FILE",
                )
            return
        data = source.read(mount.id, self._setting.environ)
        if mount.target:
            owner = mount.owner
            self._files.append(PrivateFile(mount.target, data, owner.mode, owner.uid, owner.gid))
        if mount.env:
            try:
                text = data.decode()
            except UnicodeDecodeError:
                text = "\0"
            if "\0" in text:
                raise Invalid(
                    f"the secret {mount.id} is no text: it cannot be a variable",
                    hint="mount it as a file",
                )
            self._secret_env.append(f"{mount.env}={text}")

    def _ssh(self, mount: SshMount, number: int) -> None:
        agents = self._setting.agents
        serve = agents.serve(mount.id) if agents is not None else None
        if serve is None:
            if mount.required:
                raise NotFound(
                    f"the SSH agent {mount.id} is required and not given",
                    hint=f"corten build --ssh {mount.id}",
                )
            return
        target = mount.target or f"/run/buildkit/ssh_agent.{number}"
        owner = mount.owner
        self._files.append(PrivateFile(target, b"", owner.mode, owner.uid, owner.gid, serve))
        if number == 0:
            self._env.append(f"SSH_AUTH_SOCK={target}")
