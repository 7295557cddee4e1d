"""What the drivers share that stack layers with overlayfs: snapshots, mounts, diff."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from corten.errors import Usage
from corten.oci.digest import Digest
from corten.snapshot.blame import in_layer
from corten.snapshot.holdings import Holdings, LayerRecord
from corten.snapshot.protocols import Mount, Snapshot
from corten.snapshot.skeleton import skeleton
from corten.snapshot.stacks import RootMetadata

if TYPE_CHECKING:
    from corten.archive.entry import Entry
    from corten.snapshot.feeding import TreeFeed
    from corten.snapshot.tree import LayerTree

_OPTIONS = ("redirect_dir=nofollow", "metacopy=off", "index=off")
"""So that every change is whole in the upper directory and a layer is what its tar says."""


class StackingSnapshotter(ABC):
    """A `Snapshotter` whose layers are directories or mounts under an overlay.

    A subclass says how to apply a layer and how it becomes a directory to stack.
    """

    driver: str

    def __init__(self, root: Path, driver: str) -> None:
        self.driver = driver
        self._root = root.absolute()
        self._holdings = Holdings(self._root, driver)

    def apply(self, diff_id: Digest, tar: Path) -> None:
        """Make the layer in `tar` mountable; see `Snapshotter.apply`."""
        if not self.has(diff_id):
            from corten.snapshot.feeding import read_tree

            with in_layer(diff_id):
                self._publish(read_tree(tar), diff_id, tar)

    def feeding(self) -> TreeFeed:
        """A feed that reads the layer while its bytes arrive."""
        from corten.snapshot.feeding import TreeFeed

        return TreeFeed(self._publish_once)

    @abstractmethod
    def _publish(self, tree: LayerTree, diff_id: Digest, tar: Path, index: bytes = b"") -> None:
        """Make the layer out of its tree; `tar` has the data; `index` is the driver's, if made."""

    @abstractmethod
    def _lower(self, diff_id: Digest) -> tuple[tuple[Mount, ...], str]:
        """The mounts that a layer needs first, and the directory it then is."""

    def has(self, diff_id: Digest) -> bool:
        """Whether the layer is applied: ready to be mounted."""
        return self._holdings.has_layer(diff_id)

    def prepare(
        self, key: str, layers: Sequence[Digest], *, readonly: bool = False
    ) -> tuple[Mount, ...]:
        """A new snapshot; see :meth:`corten.snapshot.protocols.Snapshotter.prepare`."""
        snapshot = Snapshot(key, tuple(layers), readonly)
        with self._holdings.locked(exclusive=False):
            root = self._root_metadata(snapshot.layers)
            path = self._holdings.add_snapshot(snapshot, root)
        try:
            return self._assemble(path, snapshot)
        except BaseException:
            self._holdings.remove_snapshot(key)
            raise

    def complete(self, layers: Sequence[Digest]) -> None:
        """Make what layers lack that link to files below them; see `Completes`."""
        with self._holdings.locked(exclusive=False):  # no layer goes in the middle of it
            if any(self._record(layer).links for layer in layers):
                self._stack(layers)

    def mounts(self, key: str) -> tuple[Mount, ...]:
        """How to mount an existing snapshot.  Raises: NotFound; Corrupt: an index is damaged."""
        return self._assemble(*self._holdings.snapshot(key))

    def diff(self, key: str, write: Callable[[bytes], object]) -> None:
        """What changed, as a layer tar; see :func:`corten.snapshot.diff.write_diff`."""
        path, snapshot = self._holdings.snapshot(key)
        if snapshot.readonly:
            raise Usage(f"snapshot {key} is read-only: nothing can have changed in it")
        from corten.snapshot.diff import write_diff

        root = self._root_metadata(snapshot.layers) or RootMetadata(0o755, 0, 0, 0)
        write_diff(path / "upper", write, root=root)

    def remove(self, key: str) -> None:
        """Forget a snapshot and its changes; nothing to do if there is none."""
        self._holdings.remove_snapshot(key)

    def walk(self) -> Iterator[Snapshot]:
        """All snapshots of this driver, by key."""
        return self._holdings.walk_snapshots()

    def prune(self, keep: Collection[Digest], before: float = math.inf) -> int:
        """Forget layers that nothing holds; see `Snapshotter.prune`."""
        return self._holdings.prune({digest.encoded for digest in keep}, before)

    def _publish_once(self, tree: LayerTree, diff_id: Digest, tar: Path, index: bytes) -> None:
        if not self.has(diff_id):
            self._publish(tree, diff_id, tar, index)

    def _record(self, diff_id: Digest) -> LayerRecord:
        """What is known of a layer.  Raises: NotFound: it is not applied; Corrupt."""
        return self._holdings.layer_record(diff_id)

    def _root_metadata(self, layers: Sequence[Digest]) -> RootMetadata | None:
        """What the topmost layer that speaks of the root directory says; checks that all exist."""
        found = None
        for layer in layers:
            found = self._record(layer).root or found
        return found

    def _assemble(self, path: Path, snapshot: Snapshot) -> tuple[Mount, ...]:
        before, lower = self._stack(snapshot.layers)
        if snapshot.readonly:
            return self._assemble_readonly(path, snapshot, before, lower)
        lower.append(str(skeleton(self._holdings.snapshots)))
        options = (
            *(f"lowerdir+={directory}" for directory in lower),
            f"upperdir={path / 'upper'}",
            f"workdir={path / 'work'}",
            *_OPTIONS,
        )
        return (*before, Mount("overlay", "overlay", "", options))

    def _stack(self, layers: Sequence[Digest]) -> tuple[list[Mount], list[str]]:
        """The mounts that `layers` need first, and the directories to stack, topmost first."""
        before: list[Mount] = []
        lower: list[str] = []
        for layer in dict.fromkeys(reversed(layers)):  # overlayfs refuses one twice
            mounts, directory = self._lower(layer)
            before += mounts
            lower.append(directory)
            if self._record(layer).opaque:
                break  # overlayfs does not look for that mark on a layer's root
        return before, lower

    def _shows_marks(self, layers: Sequence[Digest], lower: Sequence[str]) -> bool:
        """Whether whiteouts would be seen in `lower`, which is one directory, without an overlay."""
        return any(self._record(layer).whiteouts for layer in layers)

    def _assemble_readonly(
        self, path: Path, snapshot: Snapshot, before: list[Mount], lower: list[str]
    ) -> tuple[Mount, ...]:
        if len(lower) == 1 and not self._shows_marks(snapshot.layers, lower):
            if before:
                return (before[-1]._replace(target=""),)
            return (Mount("bind", lower[0], "", ("ro",)),)
        empty = path / "empty"
        empty.mkdir(exist_ok=True)
        if not lower:
            return (Mount("bind", str(empty), "", ("ro",)),)
        # With one directory alone overlayfs would not hide what whiteouts hide.
        lower.append(str(empty))
        options = tuple(f"lowerdir+={directory}" for directory in lower)
        return (*before, Mount("overlay", "overlay", "", ("ro", *options, *_OPTIONS)))


def root_metadata(entry: Entry | None) -> RootMetadata | None:
    """A tar's entry for the root directory as it is kept in a layer's record."""
    if entry is None:
        return None
    return RootMetadata(entry.mode, entry.uid, entry.gid, entry.mtime_ns)
