"""Whether applied layers are what their tars say, for every driver that keeps some under a root."""

from __future__ import annotations

import hashlib
import re
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from corten.errors import CortenError, NotFound
from corten.oci.digest import Digest, new_hasher
from corten.snapshot.drafts import listed, remove_whole
from corten.snapshot.holdings import Holdings, LayerRecord
from corten.snapshot.protocols import Checks
from corten.system.durable import sync_directory
from corten.system.settling import settle

if TYPE_CHECKING:
    from corten.snapshot.tree import LayerTree

PIECE = 1024 * 1024
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)


def checks(root: Path) -> list[Checks]:
    """One for every driver that was ever used under `root`; nothing is made or probed."""
    known = (ErofsChecks, OverlayChecks)
    return [kind(root) for kind in known if (root / "layers" / kind.driver).is_dir()]


class _LayerChecks(ABC):
    """What the drivers share: what there is, its record, letting go of it."""

    driver: str

    def __init__(self, root: Path) -> None:
        self._holdings = Holdings(root.absolute(), self.driver)

    def applied(self) -> Iterator[Digest]:
        """Layers that are there, whole or not."""
        for path in listed(self._holdings.layers):
            if _HEX.fullmatch(path.name):
                yield Digest(f"sha256:{path.name}")

    def problem(self, layer: Digest, tar: Path | None) -> str:
        """What is wrong with the layer, in a few words; empty: nothing."""
        return self._look(layer, lambda record: self._problem(layer, record, tar))

    def difference(self, layer: Digest, tar: Path, *, deep: bool = False) -> str:
        """How the layer differs from its tar, in a few words; empty: not at all."""

        def compare(record: LayerRecord) -> str:
            from corten.snapshot.comparing import record_difference
            from corten.snapshot.feeding import read_tree

            try:
                tree = read_tree(tar)
            except NotFound:
                return ""  # it went meanwhile
            wrong = record_difference(record, tree)
            return wrong or (self._deep_difference(layer, tar, tree) if deep else "")

        return self._look(layer, compare)

    def _look(self, layer: Digest, look: Callable[[LayerRecord], str]) -> str:
        try:
            record = self._holdings.layer_record(layer)
            if record.driver != self.driver:
                return f"its record is one of the {record.driver} driver"
            return look(record)
        except FileNotFoundError as error:
            if not self._holdings.layer(layer).exists():
                return ""  # it went meanwhile
            return f"it lacks {Path(error.filename).name}"
        except CortenError as error:
            return "" if not self._holdings.layer(layer).exists() else error.message

    def discard(self, layer: Digest, aside: Path | None = None) -> None:
        """Forget the layer and its stacks, under whatever snapshot; `Snapshotter.apply` makes it anew."""
        path = self._holdings.layer(layer)
        with self._holdings.locked(exclusive=True):
            # First: another may apply the layer anew as soon as it is gone, and hard links of an
            # extracted one go on holding what was damaged.
            has_layer = self._holdings.has_layer
            self._holdings.stacks.prune(lambda each: each != layer and has_layer(each))
            if aside is None:
                remove_whole(path)
            elif path.exists():
                path.rename(aside)

    def copied(self, layer: Digest, tar: Path) -> int:
        """See `Checks`: most drivers keep no tar."""
        return 0

    def link(self, layer: Digest, tar: Path) -> bool:
        """See `Checks`."""
        return False

    @abstractmethod
    def _problem(self, layer: Digest, record: LayerRecord, tar: Path | None) -> str:
        """What is wrong with a layer's files, in a few words; empty: nothing."""

    @abstractmethod
    def _deep_difference(self, layer: Digest, tar: Path, tree: LayerTree) -> str:
        """Where the layer differs from its tar, path by path; empty: nowhere."""


class ErofsChecks(_LayerChecks):
    """Indexes against their checksums, data against the tar."""

    driver = "erofs"

    def _problem(self, layer: Digest, record: LayerRecord, tar: Path | None) -> str:
        path = self._holdings.layer(layer)
        with (path / "index").open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != record.checksum:
                return "its index is damaged"
        if not (path / "mnt").is_dir():
            return "it lacks mnt"
        size = (path / "data").stat().st_size
        if size != record.data_size:
            return f"its data is {size} bytes long instead of {record.data_size}"
        if tar is not None and (path / "data").samefile(tar):
            return ""  # the blob's digest is somebody else's to verify
        # A layer with sparse members has them written out behind the tar.
        length = size if tar is None else tar.stat().st_size
        with (path / "data").open("rb") as file:
            if _digest(file, length) == layer:
                return ""
            # Without the tar nobody knows where it ends in the data of such a layer.
            return "" if tar is None and self._is_longer(layer) else "its data is not the tar's"

    def copied(self, layer: Digest, tar: Path) -> int:
        """Earlier versions of corten put another file in the place of a blob that was there."""
        try:
            ours, theirs = (self._holdings.layer(layer) / "data").lstat(), tar.stat()
        except FileNotFoundError:
            return 0  # it went meanwhile
        same = ours.st_dev == theirs.st_dev and ours.st_ino == theirs.st_ino
        alone = stat.S_ISREG(ours.st_mode) and ours.st_dev == theirs.st_dev and not same
        return ours.st_size if alone and ours.st_size == theirs.st_size else 0

    def link(self, layer: Digest, tar: Path) -> bool:
        """What has the copy open or mounted goes on with it."""
        try:
            with tar.open("rb") as file:
                # The copy may have been on disk for long, the tar not yet.
                settle(file.fileno())
            with self._holdings.locked(exclusive=True), self._holdings.draft() as draft:
                (draft / "data").hardlink_to(tar)
                (draft / "data").replace(self._holdings.layer(layer) / "data")
                sync_directory(self._holdings.layer(layer))
        except OSError:
            return False
        return True

    def _is_longer(self, layer: Digest) -> bool:
        from corten.snapshot.feeding import read_tree

        try:
            return bool(read_tree(self._holdings.layer(layer) / "data").sparse)
        except CortenError:
            return False

    def _deep_difference(self, layer: Digest, tar: Path, tree: LayerTree) -> str:
        from corten.snapshot.comparing import index_difference

        return index_difference(self._holdings.layer(layer), tar, tree)


class OverlayChecks(_LayerChecks):
    """Extracted trees: that they are there and, if deep, all that is in them."""

    driver = "overlay"

    def _problem(self, layer: Digest, record: LayerRecord, tar: Path | None) -> str:
        return "" if (self._holdings.layer(layer) / "fs").is_dir() else "it lacks fs"

    def _deep_difference(self, layer: Digest, tar: Path, tree: LayerTree) -> str:
        from corten.snapshot.comparing import tree_difference

        return tree_difference(self._holdings.layer(layer) / "fs", tar, tree)


def _digest(file: BinaryIO, length: int) -> Digest:
    """The digest of the first `length` bytes of `file`."""
    hasher = new_hasher()
    while length and (piece := file.read(min(PIECE, length))):
        hasher.update(piece)
        length -= len(piece)
    return Digest.from_hasher(hasher)
