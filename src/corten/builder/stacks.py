"""Stacks of layers of the store: looking into them, and adding a layer's blob."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from corten.builder.shared_cache import NO_CACHES, SharedCaches
from corten.builder.tree import Tree, open_tree
from corten.content.protocols import Claims, Locates, Store
from corten.errors import NotFound
from corten.events.job import Job
from corten.oci import media
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.snapshot.protocols import Feeds, LayerFeed, Mount, Snapshotter

_BUILD_KEY = "build-"
_TRIES = 2


class LayerStore(Store, Locates, Claims, Protocol):
    """A store that keeps uncompressed layers as files."""


def layer_descriptor(diff_id: Digest, size: int = 0) -> Descriptor:
    """An uncompressed layer's descriptor; stores ask for the digest alone."""
    return Descriptor(media_type=media.OCI_LAYER, digest=diff_id, size=size)


class Stacks:
    """The layers of a store and how a snapshotter mounts them.  May be used from several threads.

    `folder` is for mountpoints; nothing is ever mounted there that others see.
    The snapshotter is made when it is first needed: a build that is cached needs none.
    Layers that `shared` has are there; they are fetched when their files are needed,
    which `job` shows.
    """

    def __init__(
        self,
        store: LayerStore,
        snapshotter: Callable[[], Snapshotter],
        folder: Path,
        shared: SharedCaches = NO_CACHES,
        job: Job | None = None,
    ) -> None:
        self.store = store
        self._make = snapshotter
        self._made: Snapshotter | None = None
        self._lock = threading.Lock()
        self._folder = folder
        self.shared = shared
        self._job = job or Job()

    @property
    def snapshotter(self) -> Snapshotter:
        """The driver that mounts.  Raises: Unsupported, Denied: none works here."""
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    def has(self, layer: Digest) -> bool:
        """Whether a layer is in the store, or can be fetched."""
        return self.here(layer) or self.shared.blob(layer) is not None

    def here(self, layer: Digest) -> bool:
        """Whether a layer is in the store itself."""
        try:
            return self.store.locate(layer_descriptor(layer)).is_file()
        except NotFound:
            return False

    def path(self, diff_id: Digest) -> Path:
        """The file with a layer's tar, fetched if need be.  Raises: NotFound; as `SharedCaches.fetch`."""
        try:
            return self.store.locate(layer_descriptor(diff_id))
        except NotFound:
            if not self.shared.fetch(diff_id, self._job):
                raise
        return self.store.locate(layer_descriptor(diff_id))

    def ensure_applied(self, layers: Sequence[Digest]) -> None:
        """Make layers mountable that are not yet.  Raises: NotFound, Invalid, Unsupported."""
        for layer in layers:
            if not self.snapshotter.has(layer):
                self.snapshotter.apply(layer, self.path(layer))

    def prepare(
        self, key: str, layers: Sequence[Digest], *, readonly: bool = False
    ) -> tuple[Mount, ...]:
        """A snapshot over `layers`, made mountable first, and how to mount it.

        Raises: NotFound, Invalid, Unsupported, Conflict.
        """
        for _ in range(_TRIES):
            self.ensure_applied(layers)
            # A collection that began before our lease may take a layer from the driver now.
            with suppress(NotFound):
                return self.snapshotter.prepare(key, layers, readonly=readonly)
        self.ensure_applied(layers)
        return self.snapshotter.prepare(key, layers, readonly=readonly)

    @contextmanager
    def view(self, layers: Sequence[Digest], label: str) -> Iterator[Tree]:
        """The tree that `layers` make, read-only.

        It is mounted in a namespace that ends at once: the open descriptor alone
        keeps it, so nothing can stay mounted.
        """
        if not layers:
            empty = self._folder / "empty"
            empty.mkdir(parents=True, exist_ok=True)
            with open_tree(empty, None, label) as tree:
                yield tree
            return
        key = new_key("view")
        try:
            mounts = self.prepare(key, layers, readonly=True)
            target = self._folder / "view"
            target.mkdir(parents=True, exist_ok=True)

            from corten.snapshot.mounting import mount_all
            from corten.system.namespaces import in_private_mounts

            def mounted() -> int:
                mount_all(mounts, target)
                return os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

            with Tree(in_private_mounts(mounted), None, label) as tree:
                yield tree
        finally:
            self.snapshotter.remove(key)

    def scratch(self) -> BinaryIO:
        """A nameless file for what does not belong into memory."""
        import tempfile

        folder = self._folder / "work"
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=folder)

    def new_layer(self) -> NewLayer:
        """A layer to be written into the store."""
        return NewLayer(self)


class NewLayer:
    """A layer's tar on its way into the store, made mountable while it is written.

    A context manager: leaving without commit leaves nothing behind.
    """

    def __init__(self, stacks: Stacks) -> None:
        self._stacks = stacks
        self._ingest = stacks.store.ingest()
        self._feed: LayerFeed | None = None
        if isinstance(stacks.snapshotter, Feeds):
            self._feed = stacks.snapshotter.feeding()
        self._done = False
        self.size = 0

    def write(self, data: bytes) -> None:
        """The next bytes of the tar."""
        self._ingest.write(data)
        if self._feed is not None:
            self._feed.feed(data)
        self.size += len(data)

    def commit(self) -> Digest:
        """Keep it: durable, in the store, mountable.  Returns the diff id."""
        stacks = self._stacks
        if self._feed is not None:
            self._feed.end()
        diff_id = self._ingest.commit().digest
        path = stacks.path(diff_id)
        if self._feed is not None:
            self._feed.finish(diff_id, path)
        else:
            stacks.snapshotter.apply(diff_id, path)
        self._done = True
        return diff_id

    def __enter__(self) -> Self:
        self._ingest.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._feed is not None and not self._done:
            self._feed.abort()
        self._ingest.__exit__(kind, error, trace)


def new_key(kind: str) -> str:
    """A key for a snapshot or a run that nobody else has."""
    return f"{_BUILD_KEY}{kind}-{os.urandom(8).hex()}"
