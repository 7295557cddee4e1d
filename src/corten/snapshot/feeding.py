"""Taking a layer's tar while its bytes come in, or from a file that has them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from corten.archive.tar_reader import TarScanner, read_members
from corten.errors import NotFound
from corten.oci.digest import Digest
from corten.snapshot.tree import LayerTree

Publish = Callable[[LayerTree, Digest, Path, bytes], None]
"""Makes a layer out of its complete tree, the tar that has the data, and the index, if it is made."""
MakeIndex = Callable[[LayerTree, int], bytes]
"""An index of a complete tree whose data lies in so many bytes."""
_MANY = 2000


class TreeFeed:
    """A layer being read while it comes in; see `LayerFeed`.  Nothing is written before `finish`.

    The index of a layer with many members, if the driver has one, is made after `end` in a
    thread, while the caller waits for the tar to be hashed and on disk.
    """

    def __init__(self, publish: Publish, index: MakeIndex | None = None) -> None:
        self._publish = publish
        self._make_index = index
        self._scanner = TarScanner()
        self._tree = LayerTree()
        self._size = 0
        self._ended = False
        self._indexing: _Indexing | None = None

    def feed(self, data: bytes | memoryview, /) -> None:
        """The next bytes of the tar.  Raises: Invalid, Unsupported: a member is named."""
        add = self._tree.add
        for entry, offset, _ in self._scanner.feed(data):
            add(entry, offset)
        self._size += len(data)

    def end(self) -> None:
        """There are no more bytes.  Raises: Invalid: the tar ends in the middle."""
        if self._ended:
            return
        self._scanner.finish()
        self._tree.complete()
        self._ended = True
        # What has sparse members has its data elsewhere than in the tar.
        if self._make_index is not None and self._tree.members >= _MANY and not self._tree.sparse:
            self._indexing = _Indexing(self._make_index, self._tree, self._size)
            self._indexing.start()

    def finish(self, diff_id: Digest, tar: Path) -> None:
        """All bytes were fed and lie in `tar`.  Raises: Invalid, as `end`; what applying raises."""
        self.end()
        index = self._indexing.result() if self._indexing is not None else b""
        self._publish(self._tree, diff_id, tar, index)

    def abort(self) -> None:
        """Forget it."""
        if self._indexing is not None:
            self._indexing.join()
            self._indexing = None
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


class _Indexing(threading.Thread):
    """The index on its way."""

    def __init__(self, make: MakeIndex, tree: LayerTree, size: int) -> None:
        super().__init__(name="corten-index")
        self._make = make
        self._tree = tree
        self._size = size
        self._index = b""
        self._failure: BaseException | None = None

    def run(self) -> None:
        try:
            self._index = self._make(self._tree, self._size)
        except BaseException as error:
            self._failure = error

    def result(self) -> bytes:
        """The index.  Raises: what making it raised."""
        self.join()
        if self._failure is not None:
            raise self._failure
        return self._index


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
