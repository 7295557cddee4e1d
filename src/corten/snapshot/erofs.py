"""The erofs driver: a layer is its tar, made mountable by an index, and never unpacked.

ROOT/layers/erofs/HEX/index   the EROFS metadata image
ROOT/layers/erofs/HEX/data    the tar (a hard link to it where possible), or, if it has
                              sparse members, the tar with those written out behind it
ROOT/layers/erofs/HEX/mnt     where the layer is mounted, in somebody's mount namespace
ROOT/stacks/erofs/HEX/index   the index of a whole stack of layers, merged from theirs
ROOT/stacks/erofs/HEX/mnt     where that is mounted
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from corten.config.limits import MERGE_LIMIT
from corten.errors import Corrupt, Unsupported
from corten.oci.digest import Digest, file_hex, new_hasher
from corten.snapshot.holdings import LayerRecord
from corten.snapshot.implied import covering
from corten.snapshot.protocols import Mount
from corten.snapshot.stacking import StackingSnapshotter, root_metadata
from corten.snapshot.stacks import RootMetadata, StackRecord, chain_ids
from corten.system.locks import locked
from corten.system.settling import is_settled, settle

if TYPE_CHECKING:
    from corten.snapshot.erofs_reader import IndexReader
    from corten.snapshot.feeding import TreeFeed
    from corten.snapshot.tree import LayerTree


Restore = Callable[[Digest], bool]
"""Makes the blob of a layer's tar whole again, in its place; False: it cannot."""


def nothing(_: Digest) -> bool:
    """Where there is nothing to make a tar again from."""
    return False


_ONLY_READ = 4
"""How many times as much memory merging takes as the indexes alone."""


class ErofsSnapshotter(StackingSnapshotter):
    """Mounts layer tars through EROFS indexes (Linux 6.12 and later).

    A damaged layer is made again from its tar, that one by `restore` if need be.  Layers with more
    files than `merge_limit` (`merging.merge_indexes`) are stacked rather than merged.
    """

    def __init__(
        self, root: Path, restore: Restore = nothing, merge_limit: int = MERGE_LIMIT
    ) -> None:
        super().__init__(root, "erofs")
        self._restore = restore
        self._merge_limit = merge_limit
        # Indexes that were found whole, by path: what they looked like then.
        self._verified: dict[Path, tuple[int, int, int, str]] = {}
        self._lock = threading.Lock()

    def merge(self, layers: Sequence[Digest]) -> None:
        """Make the merged index of a stack; see `Merges`."""
        from corten.snapshot.erofs_layout import SLOTS

        # More than an index can have stay a stack above the merged ones.
        layers = tuple(layers)[:SLOTS]
        if len(set(layers)) > 1:
            with suppress(Unsupported):
                self._merged(layers)

    def feeding(self) -> TreeFeed:
        """As `StackingSnapshotter.feeding`; the index is begun before the tar is committed."""
        from corten.snapshot.erofs_index import build_index
        from corten.snapshot.feeding import TreeFeed

        return TreeFeed(self._publish_once, build_index)

    def _publish(self, tree: LayerTree, diff_id: Digest, tar: Path, index: bytes = b"") -> None:
        with self._holdings.draft() as draft:
            record = self._build(tree, tar, draft, index)
            self._holdings.publish(draft, diff_id, record)

    def _build(self, tree: LayerTree, tar: Path, draft: Path, index: bytes = b"") -> LayerRecord:
        """Make what belongs to a layer in `draft`, its index too unless it is given."""
        from corten.snapshot.erofs_index import build_index
        from corten.snapshot.expansion import expand

        data = draft / "data"
        if tree.sparse:
            expand(tree, tar, data)
        else:
            _link(tar, data)
        size = data.stat().st_size
        index = index or build_index(tree, size)
        # Left to the kernel: its checksum tells whether a power cut has spoilt it.
        (draft / "index").write_bytes(index)
        (draft / "mnt").mkdir()
        return LayerRecord(
            self.driver,
            tree.whiteouts,
            root_metadata(tree.explicit_root),
            Digest.of(index).encoded,
            size,
            tree.links,
            tree.root.opaque,
            tree.implied,
        )

    def _lower(self, diff_id: Digest) -> tuple[tuple[Mount, ...], str]:
        layer = self._holdings.layer(diff_id)
        self._verify(diff_id)
        target = str(layer / "mnt")
        options = ("ro", f"device={layer / 'data'}")
        return (Mount("erofs", str(layer / "index"), target, options),), target

    def _stack(self, layers: Sequence[Digest]) -> tuple[list[Mount], list[str]]:
        """As `StackingSnapshotter._stack`, with one mount for all layers that have been merged.

        Those up to the last layer that depends on lower ones are merged now, if need be.
        """
        layers = tuple(layers)
        chains = chain_ids(layers)
        if layers and self._holdings.stacks.record(chains[-1]) is not None:
            mount = self._merged(layers)
            return [mount], [mount.target]
        readers: dict[Digest, IndexReader] = {}
        for count in range(len(layers), 0, -1):
            merged = self._holdings.stacks.record(chains[count - 1]) is not None
            if merged or self._depends(layers[:count], readers):
                break
        else:
            return super()._stack(layers)
        before, lower = super()._stack(layers[count:])
        try:
            mount = self._merged(layers[:count])  # also if it is hidden: a wrong link is refused
        except Unsupported as error:
            error.hint = error.hint or "the overlay driver can: --storage-driver overlay"
            raise
        if not any(self._record(layer).opaque for layer in layers[count:]):
            before.append(mount)
            lower.append(mount.target)
        return before, lower

    def _depends(self, layers: tuple[Digest, ...], readers: dict[Digest, IndexReader]) -> bool:
        """Whether the topmost layer cannot be shown without knowing what is below it.

        `readers` keeps indexes that were read for the next question.
        """
        record = self._record(layers[-1])
        if record.links or not record.implied:
            return bool(record.links)
        from corten.snapshot.erofs_reader import enter, is_plain

        self._bound(layers[:-1], _ONLY_READ)
        root: list[tuple[IndexReader, int]] = []
        for layer in dict.fromkeys(reversed(layers[:-1])):
            if layer not in readers:
                readers[layer] = self._reader(layer)
            root.append((readers[layer], readers[layer].root))
            if self._record(layer).opaque:
                break
        below = (found for _, found in covering(record.implied, root, enter))
        return any(not is_plain(reader, nid) for found in below for reader, nid in found)

    def _reader(self, layer: Digest) -> IndexReader:
        """A layer's index, verified.  Raises: as `_verify`."""
        from corten.snapshot.erofs_reader import IndexReader

        self._verify(layer)
        return IndexReader((self._holdings.layer(layer) / "index").read_bytes())

    def _root_metadata(self, layers: Sequence[Digest]) -> RootMetadata | None:
        """As `StackingSnapshotter._root_metadata`, without a look at every layer if they are merged."""
        if layers and all(map(self.has, layers)):
            record = self._holdings.stacks.record(chain_ids(layers)[-1])
            if record is not None:
                return record.root
        return super()._root_metadata(layers)

    def _shows_marks(self, layers: Sequence[Digest], lower: Sequence[str]) -> bool:
        return not lower[0].startswith(str(self._holdings.stacks.path)) and super()._shows_marks(
            layers, lower
        )

    def _merged(self, layers: tuple[Digest, ...]) -> Mount:
        """How to mount the merged index of `layers`, which is made unless it is there and whole.

        Raises: Unsupported: it cannot be made; Invalid: a link names what is not below.
        """
        stacks = self._holdings.stacks
        chain = chain_ids(layers)[-1]
        devices = self._whole_stack(chain)
        if devices is None:
            with stacks.making():
                devices = self._whole_stack(chain)  # another may have been faster
                if devices is None:
                    devices = self._make_stack(chain, layers)
        options = [f"device={self._holdings.layer(device) / 'data'}" for device in devices]
        stack = stacks.stack(chain)
        return Mount("erofs", str(stack / "index"), str(stack / "mnt"), ("ro", *options))

    def _whole_stack(self, chain: Digest) -> tuple[Digest, ...] | None:
        """The devices of a merged index, None unless it and all it points into are as they were."""
        record = self._holdings.stacks.record(chain)
        stack = self._holdings.stacks.stack(chain)
        if record is None or not self._is_whole(stack / "index", record.checksum):
            return None
        devices = tuple(Digest(device) for device in record.devices)
        for device, size in zip(devices, record.sizes, strict=True):
            data = self._holdings.layer(device) / "data"
            if _size(data) != size or not is_settled(data):
                self._verify(device)
        return devices if (stack / "mnt").is_dir() else None

    def _make_stack(self, chain: Digest, layers: tuple[Digest, ...]) -> tuple[Digest, ...]:
        """Make a merged index anew; returns its devices."""
        from corten.snapshot.merging import Stratum, merge_indexes

        known: dict[Digest, Stratum] = {}
        with self._holdings.locked(exclusive=False):
            self._bound(layers)
            for layer in layers:
                if layer not in known:
                    known[layer] = Stratum(layer, self._reader(layer), self._record(layer))
            merged = merge_indexes([known[layer] for layer in layers], self._merge_limit)
            hasher = new_hasher()
            for piece in merged.pieces:
                hasher.update(piece)
            record_of_stack = StackRecord(
                tuple(str.__str__(layer) for layer in layers),
                hasher.hexdigest(),
                tuple(str.__str__(device) for device in merged.devices),
                tuple(known[device].record.data_size for device in merged.devices),
                super()._root_metadata(layers),
            )
            with self._holdings.stacks.draft() as draft:
                with (draft / "index").open("xb") as file:
                    file.writelines(merged.pieces)
                (draft / "mnt").mkdir()
                self._holdings.stacks.publish(draft, chain, record_of_stack)
        return tuple(merged.devices)

    def _bound(self, layers: Sequence[Digest], times: int = 1) -> None:
        """See that the indexes fit into memory.  Raises: Unsupported: they are too large together.

        They may be so many `times` as large as those that are merged.
        """
        from corten.snapshot.erofs_layout import META
        from corten.snapshot.merging import INDEX_BYTES, too_many

        indexes = [self._holdings.layer(layer) / "index" for layer in set(layers)]
        limit = times * self._merge_limit * INDEX_BYTES
        if sum(map(_size, indexes)) > len(indexes) * META + limit:
            raise too_many(self._merge_limit)

    def _verify(self, diff_id: Digest) -> None:
        """Compare the index with its checksum before the kernel reads it; mend the layer if need be.

        Raises: NotFound: the layer is not applied; Corrupt: its tar is damaged as well.
        """
        wrong = self._damage(diff_id)
        if not wrong:
            return
        with locked(self._holdings.layers / ".mending"):
            if self._damage(diff_id):  # else another was faster
                self._mend(diff_id, wrong)

    def _record(self, diff_id: Digest) -> LayerRecord:
        try:
            return super()._record(diff_id)
        except Corrupt:
            self._verify(diff_id)
        return super()._record(diff_id)

    def _damage(self, diff_id: Digest) -> str:
        """What is wrong with a layer's files, in a few words; empty: nothing."""
        layer = self._holdings.layer(diff_id)
        try:
            record = self._holdings.layer_record(diff_id)
        except Corrupt as error:
            return error.message
        size = _size(layer / "data")
        if size != record.data_size:
            return (
                f"the tar of layer {diff_id.short} is {size} bytes long"
                if size >= 0
                else (f"layer {diff_id.short} lacks its tar")
            )
        if not is_settled(layer / "data") and not _settled(layer / "data", diff_id):
            return f"the tar of layer {diff_id.short} was not on disk when the machine stopped"
        if not self._is_whole(layer / "index", record.checksum):
            return f"the index of layer {diff_id.short} is damaged"
        return "" if (layer / "mnt").is_dir() else f"layer {diff_id.short} lacks its mountpoint"

    def _mend(self, diff_id: Digest, wrong: str) -> None:
        """Make a layer's files anew from its tar, each replaced at once."""
        from corten.snapshot.feeding import read_tree

        layer = self._holdings.layer(diff_id)
        blob = self._root / "content" / "blobs" / diff_id.algorithm / diff_id.encoded
        tar = next((file for file in (blob, layer / "data") if _is(file, diff_id)), None)
        if tar is None and self._restore(diff_id):
            tar = blob  # in which every byte was compared with its digest
        if tar is None:
            raise Corrupt(
                f"{wrong}, and nothing here has its bytes",
                hint="corten system check --repair says what brings them back",
            )
        with self._holdings.draft() as draft:
            record = self._build(read_tree(tar), tar, draft)
            for name in ("data", "index"):
                (draft / name).replace(layer / name)
            (layer / "mnt").mkdir(exist_ok=True)
            self._holdings.rewrite(diff_id, record)

    def _is_whole(self, index: Path, checksum: str) -> bool:
        """Whether an index is there and has that SHA-256; looked at once, unless it changes."""
        try:
            status = index.stat()
            look = (status.st_ino, status.st_size, status.st_mtime_ns, checksum)
            with self._lock:
                if self._verified.get(index) == look:
                    return True
            with index.open("rb") as file:
                found = file_hex(file, "sha256")
        except (FileNotFoundError, NotADirectoryError):
            return False
        if found == checksum:
            with self._lock:
                self._verified[index] = look
        return found == checksum


def _size(file: Path) -> int:
    """A file's size in bytes, -1 if there is none."""
    try:
        return file.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return -1


def _is(file: Path, digest: Digest) -> bool:
    """Whether there is such a file, with that digest."""
    try:
        with file.open("rb") as opened:
            found = file_hex(opened, digest.algorithm)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return found == digest.encoded


def _settled(tar: Path, diff_id: Digest) -> bool:
    """Whether a tar that had been left to the kernel is whole, and on disk from now on."""
    whole = _is(tar, diff_id)
    if whole:
        with tar.open("rb") as file:
            settle(file.fileno())
    return whole


def _link(tar: Path, data: Path) -> None:
    """Keep the tar under the layer's own name, without a second copy of its bytes."""
    try:
        data.hardlink_to(tar)
    except OSError:  # on another file system, or one without hard links
        data.symlink_to(tar.absolute())
