"""Hard links of a layer to files of lower layers: which inodes they name, found in the indexes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from corten.archive.entry import show
from corten.errors import Invalid
from corten.oci.digest import Digest
from corten.snapshot.erofs_layout import CHAR, DIRECTORY, SYMLINK
from corten.snapshot.erofs_reader import IndexReader
from corten.snapshot.links import ForeignLink

Source = tuple[int, int]
"""A layer by its place among the layers, and the number of an inode in its index."""
Extra = dict[int, dict[bytes, Source]]
"""Names that a layer's index lacks, by directory: what they are links to."""
_HOPS = 40


class Linking(Protocol):
    """What is needed of a layer."""

    @property
    def diff_id(self) -> Digest: ...
    @property
    def reader(self) -> IndexReader: ...
    @property
    def opaque(self) -> bool: ...
    @property
    def links(self) -> tuple[ForeignLink, ...]: ...


def resolve_links(
    layers: Sequence[Linking], order: Sequence[int]
) -> tuple[list[Extra], set[Source]]:
    """What the links of `layers` add to each, and all inodes that they name.

    `order` is the stack, lowest first, as places in `layers`.
    Raises: Invalid: a link names what is not in the layers below it, or a directory.
    """
    extra: list[Extra] = [{} for _ in layers]
    if any(layer.links for layer in layers):
        for count, at in enumerate(order):
            if layers[at].links:
                below = order[:count]
                extra[at] = _Resolver(layers, below, extra).resolve(at, layers[at])
    return extra, {source for each in extra for names in each.values() for source in names.values()}


class _Resolver:
    """Looks names up in the layers below one."""

    def __init__(
        self, layers: Sequence[Linking], below: Sequence[int], extra: Sequence[Extra]
    ) -> None:
        self._readers = [layer.reader for layer in layers]
        self._extra = extra
        self._listed: dict[Source, dict[bytes, tuple[int, int]]] = {}
        self._root: list[Source] = []
        for at in reversed(below):
            source = (at, self._readers[at].root)
            if source not in self._root:
                self._root.append(source)
            if layers[at].opaque:
                break

    def resolve(self, at: int, layer: Linking) -> Extra:
        """The names that `layer`, which is number `at`, gives to files below it."""
        found: Extra = {}
        for link in layer.links:
            source = self._find(link.target)
            if source is None:
                raise Invalid(
                    f"layer {layer.diff_id.short}: {show(link.name)} is a hard link to "
                    f"{show(link.target)}, which is in no layer below",
                    hint="the image was made for other layers than it has",
                )
            *parents, base = link.name.split(b"/")
            nid = layer.reader.root
            for parent in parents:
                nid = self._names((at, nid))[parent][0]
            found.setdefault(nid, {})[base] = source
        return found

    def _find(self, path: bytes) -> Source | None:
        """The file that `path` names; symlinks on the way are followed, the last part is not."""
        stack = [self._root]
        todo = path.split(b"/")[::-1]
        hops = 0
        while todo:
            part = todo.pop()
            if part in (b"", b"."):
                continue
            if part == b"..":
                if len(stack) > 1:
                    stack.pop()
                continue
            sources, kind = self._below(stack[-1], part)
            if not sources:
                return None
            if kind == DIRECTORY:
                stack.append(sources)
            elif not todo:
                return sources[0]
            elif kind == SYMLINK and hops < _HOPS:
                hops += 1
                at, nid = sources[0]
                text = self._readers[at].target(nid)
                if text.startswith(b"/"):
                    stack = [self._root]
                todo.extend(reversed(text.split(b"/")))
            else:
                return None
        return None

    def _below(self, directories: Sequence[Source], name: bytes) -> tuple[list[Source], int]:
        """What `name` is in directories that are merged, and its type."""
        found: list[Source] = []
        for at, directory in directories:
            source = self._extra[at].get(directory, {}).get(name)
            if source is not None:
                return (found, DIRECTORY) if found else ([source], self._kind(source))
            number, kind = self._names((at, directory)).get(name, (0, 0))
            if not number:
                continue
            reader = self._readers[at]
            if kind != DIRECTORY:
                if found or (kind == CHAR and reader.is_whiteout(number)):
                    break
                return [(at, number)], kind
            found.append((at, number))
            if reader.is_opaque(number):
                break
        return found, DIRECTORY

    def _kind(self, source: Source) -> int:
        return self._readers[source[0]].kind(source[1])

    def _names(self, directory: Source) -> dict[bytes, tuple[int, int]]:
        found = self._listed.get(directory)
        if found is None:
            names = self._readers[directory[0]].names(directory[1])
            found = {name: (number, kind) for name, number, kind in names}
            self._listed[directory] = found
        return found
