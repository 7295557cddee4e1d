"""The overlay driver: a layer is a directory, extracted once.

ROOT/layers/overlay/HEX/fs    the layer, with whiteouts as overlayfs has them
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from corten.errors import Corrupt, Unavailable
from corten.oci.digest import Digest
from corten.snapshot.extraction import extract
from corten.snapshot.holdings import LayerRecord
from corten.snapshot.protocols import Mount
from corten.snapshot.stacking import StackingSnapshotter, root_metadata
from corten.snapshot.tree import LayerTree


class OverlaySnapshotter(StackingSnapshotter):
    """Extracts layers to directories, after all of a layer was checked, and stacks those."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, "overlay")

    def _publish(self, tree: LayerTree, diff_id: Digest, tar: Path) -> None:
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
            )
            self._holdings.publish(draft, diff_id, record)

    def _lower(self, diff_id: Digest) -> tuple[tuple[Mount, ...], str]:
        directory = self._holdings.layer(diff_id) / "fs"
        if not directory.is_dir():
            raise Corrupt(
                f"layer {diff_id.short} lacks {directory}",
                hint="remove the image and pull it again",
            )
        return (), str(directory)


def _sync_file_system(directory: Path) -> None:
    """One call for all files, where fsync would be one for each."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(fd) != 0:
            number = ctypes.get_errno()
            raise Unavailable(f"cannot write {directory} to disk: {os.strerror(number)}")
    finally:
        os.close(fd)
