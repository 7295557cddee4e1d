"""The overlay driver: a layer is a directory, extracted once.

ROOT/layers/overlay/HEX/fs    the layer, with whiteouts as overlayfs has them
ROOT/stacks/overlay/HEX/fs    what a layer lacks that has hard links to files of the
                              layers below it, or directories that it only implies:
                              :mod:`corten.snapshot.completion`
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path

from corten.errors import Corrupt, Unavailable
from corten.oci.digest import Digest
from corten.snapshot.blame import in_layer
from corten.snapshot.extraction import extract
from corten.snapshot.holdings import LayerRecord
from corten.snapshot.protocols import Mount
from corten.snapshot.stacking import StackingSnapshotter, root_metadata
from corten.snapshot.stacks import StackHoldings, StackRecord, chain_ids
from corten.snapshot.tree import LayerTree


class OverlaySnapshotter(StackingSnapshotter):
    """Extracts layers to directories, after all of a layer was checked, and stacks those."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, "overlay")

    def _publish(self, tree: LayerTree, diff_id: Digest, tar: Path, index: bytes = b"") -> None:
        with self._holdings.draft() as draft:
            target = draft / "fs"
            target.mkdir(mode=0o755)
            extract(tree, tar, target)
            _sync_file_system(target)
            record = LayerRecord(
                self.driver,
                tree.whiteouts,
                root_metadata(tree.explicit_root),
                links=tree.links,
                opaque=tree.root.opaque,
                implied=tree.implied,
            )
            self._holdings.publish(draft, diff_id, record)

    def _lower(self, diff_id: Digest) -> tuple[tuple[Mount, ...], str]:
        directory = self._holdings.layer(diff_id) / "fs"
        if not directory.is_dir():
            raise Corrupt(
                f"layer {diff_id.short} lacks {directory}",
                hint="corten system check --repair makes it again",
            )
        return (), str(directory)

    def _stack(self, layers: Sequence[Digest]) -> tuple[list[Mount], list[str]]:
        """As `StackingSnapshotter._stack`; above a layer that depends on lower ones comes its completion."""
        records = {layer: self._holdings.layer_record(layer) for layer in layers}
        if not any(record.links or record.implied for record in records.values()):
            return super()._stack(layers)
        lower: list[str] = []
        chains = chain_ids(layers)
        for count, layer in enumerate(layers):
            record = records[layer]
            _, directory = self._lower(layer)
            below = [] if record.opaque else lower
            completion = None
            if record.links or record.implied:
                completion = self._completion(chains[count], layers[: count + 1], lower)
            lower = [*([completion] if completion else []), directory, *below]
        return [], list(dict.fromkeys(lower))

    def _completion(
        self, chain: Digest, layers: Sequence[Digest], below: Sequence[str]
    ) -> str | None:
        """The directory that belongs above the last of `layers`; None if there is no need.

        Raises: Invalid: a link names a file that is not below; Unsupported: the file
        system cannot keep it.
        """
        stacks = self._holdings.stacks
        directory = stacks.stack(chain) / "fs"
        if not _whole(stacks, chain):
            from corten.snapshot.completion import complete, covered

            layer = layers[-1]
            record = self._holdings.layer_record(layer)
            source = self._holdings.layer(layer) / "fs"
            with in_layer(layer):
                if not record.links and next(covered(below, record.implied), None) is None:
                    return None
            with in_layer(layer), stacks.making(), stacks.draft() as draft:
                if not _whole(stacks, chain):  # else another was faster
                    (draft / "fs").mkdir()
                    complete(source, below, record, draft / "fs")
                    names = tuple(str.__str__(each) for each in layers)
                    stacks.publish(draft, chain, StackRecord(names))
        return str(directory)


def _whole(stacks: StackHoldings, chain: Digest) -> bool:
    return stacks.record(chain) is not None and (stacks.stack(chain) / "fs").is_dir()


def _sync_file_system(directory: Path) -> None:
    """One call for all files, where fsync would be one for each."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(fd) != 0:
            number = ctypes.get_errno()
            raise Unavailable(f"cannot write {directory} to disk: {os.strerror(number)}")
    finally:
        os.close(fd)
