"""What a driver keeps on disk: applied layers and snapshots, and how they appear and go.

ROOT/layers/DRIVER/HEX        one applied layer; ``layer.json`` describes it
ROOT/snapshots/KEY            one snapshot; ``snapshot.json``, and ``upper``, ``work``
                              unless it is read-only
ROOT/stacks/DRIVER/HEX        what belongs to a stack of layers: :mod:`corten.snapshot.stacks`

All appear whole and go whole (:mod:`corten.snapshot.drafts`).  Only their owner can
get into ``layers``: files in it may be set-user-id.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from corten.errors import Conflict, Corrupt, Invalid, NotFound
from corten.oci.digest import Digest
from corten.snapshot.drafts import listed, own_draft, remove_whole, rename_draft, sweep
from corten.snapshot.implied import Implied
from corten.snapshot.links import ForeignLink
from corten.snapshot.protocols import Snapshot
from corten.snapshot.skeleton import NAME as SKELETON
from corten.snapshot.stacks import RootMetadata, StackHoldings
from corten.system.durable import sync_directory, write_durably
from corten.system.locks import locked as file_locked

_KEY = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}"


class LayerRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What ``layer.json`` says.

    ``checksum`` is the SHA-256 of the index (erofs), ``data_size`` the size of the
    file that the index points into; ``root`` is None where the layer leaves the
    root directory alone; an ``opaque`` layer shows nothing of those below it.
    ``links`` are names for files of the layers below, which whoever stacks the
    layer has to add (:mod:`corten.snapshot.links`), ``implied`` directories whose
    metadata those layers say, if they have them (:mod:`corten.snapshot.implied`).
    """

    driver: str
    whiteouts: bool = False
    root: RootMetadata | None = None
    checksum: str = ""
    data_size: int = 0
    links: tuple[ForeignLink, ...] = ()
    opaque: bool = False
    implied: tuple[Implied, ...] = ()


class _SnapshotRecord(msgspec.Struct, frozen=True):
    driver: str
    layers: tuple[str, ...]
    readonly: bool


class Holdings:
    """The directories of one driver under one root.  Threads and processes may share them."""

    def __init__(self, root: Path, driver: str) -> None:
        self.driver = driver
        self.layers = root / "layers" / driver
        self.snapshots = root / "snapshots"
        self.stacks = StackHoldings(root, driver)

    def layer(self, diff_id: Digest) -> Path:
        """Where the layer is or would be."""
        return self.layers / diff_id.encoded

    def has_layer(self, diff_id: Digest) -> bool:
        """Whether the layer is applied."""
        return (self.layer(diff_id) / "layer.json").is_file()

    def layer_record(self, diff_id: Digest) -> LayerRecord:
        """What is known of a layer.  Raises: NotFound; Corrupt: its record is unreadable."""
        path = self.layer(diff_id) / "layer.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=LayerRecord)
        except FileNotFoundError:
            raise NotFound(
                f"layer {diff_id.short} is not applied", hint="pull or load the image again"
            ) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Corrupt(f"the record of layer {diff_id.short} is damaged: {error}") from error

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """A directory to make a layer in; gone at the end of the block unless published."""
        self._make_layers()
        with own_draft(self.layers) as path:
            path.chmod(0o755)
            yield path

    def publish(self, draft: Path, diff_id: Digest, record: LayerRecord) -> None:
        """Turn a finished draft into the layer; if it is there already, drop the draft."""
        write_durably(draft / "layer.json", msgspec.json.encode(record))
        if rename_draft(draft, self.layer(diff_id)):
            sync_directory(self.layers)

    def rewrite(self, diff_id: Digest, record: LayerRecord) -> None:
        """Replace what is said of a layer."""
        write_durably(self.layer(diff_id) / "layer.json", msgspec.json.encode(record))

    def add_snapshot(self, snapshot: Snapshot, root: RootMetadata | None) -> Path:
        """Make a snapshot's directory.  Raises: Conflict: the key is in use; Invalid."""
        path = self._snapshot_path(snapshot.key)
        if path.exists():
            raise Conflict(f"a snapshot {snapshot.key} exists already")
        layers = tuple(str.__str__(layer) for layer in snapshot.layers)
        record = _SnapshotRecord(self.driver, layers, snapshot.readonly)
        self.snapshots.mkdir(parents=True, exist_ok=True)
        with own_draft(self.snapshots) as draft:
            if not snapshot.readonly:
                (draft / "work").mkdir(mode=0o700)
                upper = draft / "upper"
                upper.mkdir(mode=0o755)
                if root is not None:
                    os.chown(upper, root.uid, root.gid)
                    upper.chmod(root.mode)
                    os.utime(upper, ns=(root.mtime_ns, root.mtime_ns))
                else:
                    upper.chmod(0o755)
            (draft / "snapshot.json").write_bytes(msgspec.json.encode(record))
            if not rename_draft(draft, path):
                raise Conflict(f"a snapshot {snapshot.key} exists already")
        return path

    def snapshot(self, key: str) -> tuple[Path, Snapshot]:
        """A snapshot's directory and what it consists of.  Raises: NotFound, Invalid."""
        path = self._snapshot_path(key)
        record = _read_snapshot(path)
        if record is None:
            raise NotFound(f"there is no snapshot {key}")
        if record.driver != self.driver:
            raise NotFound(
                f"snapshot {key} was made by the {record.driver} driver, not {self.driver}",
                hint=f"use --storage-driver {record.driver}",
            )
        layers = tuple(Digest(text) for text in record.layers)
        return path, Snapshot(key, layers, record.readonly)

    def walk_snapshots(self) -> Iterator[Snapshot]:
        """All snapshots of this driver, by key.

        One whose record is damaged holds no layers, and is everybody's: after a power cut
        it may be empty.  It cannot be mounted, but removed.
        """
        for path in listed(self.snapshots):
            try:
                record = _read_snapshot(path)
            except Corrupt:
                record = _SnapshotRecord(self.driver, (), False)
            if record is not None and record.driver == self.driver:
                layers = tuple(Digest(text) for text in record.layers)
                yield Snapshot(path.name, layers, record.readonly)

    def remove_snapshot(self, key: str) -> None:
        """Forget a snapshot, if there is one."""
        remove_whole(self._snapshot_path(key))

    @contextmanager
    def locked(self, *, exclusive: bool) -> Iterator[None]:
        """Keep layers from being pruned (shared), or snapshots from being made (exclusive)."""
        self._make_layers()
        with file_locked(self.layers / ".lock", shared=not exclusive):
            yield

    def prune(self, keep: set[str], before: float = math.inf) -> int:
        """Forget layers whose hex is not in `keep` nor under a snapshot, and what crashes left.

        Layers that were applied `before` (epoch seconds) or later stay.
        """
        with self.locked(exclusive=True):
            for snapshot in self.walk_snapshots():
                keep.update(layer.encoded for layer in snapshot.layers)
            unused = [
                path
                for path in listed(self.layers)
                if path.name not in keep and _applied(path) < before
            ]
            going = {path.name for path in unused}
            # Before the layers: one that is applied anew at once has other files than its stacks,
            # which may be hard links to the old ones.
            self.stacks.prune(lambda each: each.encoded not in going and self.has_layer(each))
            for path in unused:
                remove_whole(path)
        for directory in (self.layers, self.snapshots, self.stacks.path):
            sweep(directory)
        return len(unused)

    def _make_layers(self) -> None:
        self.layers.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.layers.mkdir(mode=0o700, exist_ok=True)

    def _snapshot_path(self, key: str) -> Path:
        if not re.fullmatch(_KEY, key) or key == SKELETON:
            raise Invalid(f"{key!r} cannot be a snapshot's key")
        return self.snapshots / key


def _read_snapshot(path: Path) -> _SnapshotRecord | None:
    try:
        return msgspec.json.decode((path / "snapshot.json").read_bytes(), type=_SnapshotRecord)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Corrupt(f"the record of snapshot {path.name} is damaged: {error}") from error


def _applied(path: Path) -> float:
    """When the layer was applied (epoch seconds); what is half removed was so long ago."""
    try:
        return (path / "layer.json").stat().st_mtime
    except FileNotFoundError:
        return 0.0
