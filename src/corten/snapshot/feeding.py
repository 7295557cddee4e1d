"""Taking a layer's tar while its bytes come in, or from a file that has them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from corten.archive.tar_reader import TarScanner, read_members
from corten.errors import NotFound
from corten.oci.digest import Digest
from corten.snapshot.tree import LayerTree

Publish = Callable[[LayerTree, Digest, Path], None]
"""Makes a layer out of its complete tree and the tar that has the data."""


class TreeFeed:
    """A layer being read while it comes in; see `LayerFeed`.  Nothing is written before `finish`."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._scanner = TarScanner()
        self._tree = LayerTree()

    def feed(self, data: bytes | memoryview, /) -> None:
        """The next bytes of the tar.  Raises: Invalid, Unsupported: a member is named."""
        add = self._tree.add
        for entry, offset, _ in self._scanner.feed(data):
            add(entry, offset)

    def end(self) -> None:
        """There are no more bytes.  Raises: Invalid: the tar ends in the middle."""
        self._scanner.finish()
        self._tree.complete()

    def finish(self, diff_id: Digest, tar: Path) -> None:
        """All bytes were fed and lie in `tar`.  Raises: Invalid, as `end`; what applying raises."""
        self.end()
        self._publish(self._tree, diff_id, tar)

    def abort(self) -> None:
        """Forget it."""
        self._tree = LayerTree()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abort()


def read_tree(tar: Path) -> LayerTree:
    """The tree of the layer in the file `tar`.  Raises: NotFound, Invalid, Unsupported."""
    tree = LayerTree()
    try:
        with tar.open("rb") as file:
            for entry, offset, _ in read_members(file.fileno()):
                tree.add(entry, offset)
            tree.complete()
    except FileNotFoundError:
        raise NotFound(f"there is no layer tar at {tar}") from None
    return tree
