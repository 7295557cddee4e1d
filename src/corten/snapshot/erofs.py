"""The erofs driver: a layer is its tar, made mountable by an index, and never unpacked.

ROOT/layers/erofs/HEX/index   the EROFS metadata image
ROOT/layers/erofs/HEX/data    the tar (a hard link to it where possible), or, if it has
                              sparse members, the tar with those written out behind it
ROOT/layers/erofs/HEX/mnt     where the layer is mounted, in somebody's mount namespace
"""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

from corten.errors import Corrupt
from corten.oci.digest import Digest
from corten.snapshot.holdings import LayerRecord
from corten.snapshot.protocols import Mount
from corten.snapshot.stacking import StackingSnapshotter, root_metadata
from corten.snapshot.tree import LayerTree


class ErofsSnapshotter(StackingSnapshotter):
    """Mounts layer tars through EROFS indexes (Linux 6.12 and later)."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, "erofs")
        # Indexes that were found whole, by path: what they looked like then.
        self._verified: dict[Path, tuple[int, int, int]] = {}
        self._lock = threading.Lock()

    def _publish(self, tree: LayerTree, diff_id: Digest, tar: Path) -> None:
        from corten.snapshot.erofs_index import build_index
        from corten.snapshot.expansion import expand

        with self._holdings.draft() as draft:
            data = draft / "data"
            if tree.sparse:
                expand(tree, tar, data)
            else:
                _link(tar, data)
            size = data.stat().st_size
            index = build_index(tree, size)
            with (draft / "index").open("xb") as file:
                file.write(index)
                file.flush()
                os.fsync(file.fileno())
            (draft / "mnt").mkdir()
            record = LayerRecord(
                self.driver,
                tree.whiteouts,
                root_metadata(tree.explicit_root),
                hashlib.sha256(index).hexdigest(),
                size,
                tree.links,
                tree.root.opaque,
            )
            self._holdings.publish(draft, diff_id, record)

    def _lower(self, diff_id: Digest) -> tuple[tuple[Mount, ...], str]:
        layer = self._holdings.layer(diff_id)
        self._verify(diff_id, layer)
        target = str(layer / "mnt")
        options = ("ro", f"device={layer / 'data'}")
        return (Mount("erofs", str(layer / "index"), target, options),), target

    def _verify(self, diff_id: Digest, layer: Path) -> None:
        """Compare the index with its checksum before the kernel reads it.

        Raises: Corrupt: the index or the size of the data is not what it was.
        """
        path = layer / "index"
        record = self._holdings.layer_record(diff_id)
        hint = "remove the image and pull it again"
        try:
            status, size = path.stat(), (layer / "data").stat().st_size
        except FileNotFoundError as error:
            raise Corrupt(f"layer {diff_id.short} lacks {error.filename}", hint=hint) from None
        if size != record.data_size:
            raise Corrupt(f"the tar of layer {diff_id.short} is {size} bytes long", hint=hint)
        look = (status.st_ino, status.st_size, status.st_mtime_ns)
        with self._lock:
            if self._verified.get(path) == look:
                return
        with path.open("rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
        if checksum != record.checksum:
            raise Corrupt(f"the index of layer {diff_id.short} is damaged", hint=hint)
        with self._lock:
            self._verified[path] = look


def _link(tar: Path, data: Path) -> None:
    """Keep the tar under the layer's own name, without a second copy of its bytes."""
    try:
        data.hardlink_to(tar)
    except OSError:  # on another file system, or one without hard links
        data.symlink_to(tar.absolute())
