"""Hard links of a layer to files of lower layers: which inodes they name, found in the indexes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from corten.archive.entry import show
from corten.errors import Invalid
from corten.oci.digest import Digest
from corten.snapshot.erofs_layout import CHAR, DIRECTORY, SYMLINK, Dirent
from corten.snapshot.erofs_reader import IndexReader
from corten.snapshot.links import ForeignLink, Steps, find_below

Source = tuple[int, int]
"""A layer by its place among the layers, and the number of an inode in its index."""
Extra = dict[int, dict[bytes, Source]]
"""Names that a layer's index lacks, by directory: what they are links to."""
Names = Callable[[int, int], Iterable[Dirent]]
"""What is in the directory of a layer with an inode's number."""


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
    layers: Sequence[Linking], order: Sequence[int], names: Names, steps: Steps
) -> tuple[list[Extra], set[Source]]:
    """What the links of `layers` add to each, and all inodes that they name.

    `order` is the stack, lowest first, as places in `layers`; `names` lists a directory.
    Raises: Invalid: a link names what is not in the layers below it, or a directory;
    Unsupported: to find out takes more than `steps`.
    """
    extra: list[Extra] = [{} for _ in layers]
    if any(layer.links for layer in layers):
        for count, at in enumerate(order):
            if layers[at].links:
                resolver = _Resolver(layers, order[:count], extra, names)
                extra[at] = resolver.resolve(at, layers[at], steps)
    return extra, {source for each in extra for names in each.values() for source in names.values()}


class _Resolver:
    """Looks names up in the layers below one."""

    def __init__(
        self,
        layers: Sequence[Linking],
        below: Sequence[int],
        extra: Sequence[Extra],
        names: Names,
    ) -> None:
        self._list = names
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

    def resolve(self, at: int, layer: Linking, steps: Steps) -> Extra:
        """The names that `layer`, which is number `at`, gives to files below it."""
        found: Extra = {}
        for link in layer.links:
            source = find_below(link.target, self._root, self._enter, self._target, steps)
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

    def _enter(
        self, directories: Sequence[Source], name: bytes
    ) -> tuple[list[Source], Source | None]:
        """What `name` is in directories that are merged: directories, or a file."""
        found: list[Source] = []
        for at, directory in directories:
            source = self._extra[at].get(directory, {}).get(name)
            if source is not None:
                return (found, None) if found else ([], source)
            number, kind = self._names((at, directory)).get(name, (0, 0))
            if not number:
                continue
            reader = self._readers[at]
            if kind != DIRECTORY:
                if found or (kind == CHAR and reader.is_whiteout(number)):
                    break
                return [], (at, number)
            found.append((at, number))
            if reader.is_opaque(number):
                break
        return found, None

    def _target(self, source: Source) -> bytes | None:
        """What a symlink says; None: it is none."""
        reader = self._readers[source[0]]
        return reader.target(source[1]) if reader.kind(source[1]) == SYMLINK else None

    def _names(self, directory: Source) -> dict[bytes, tuple[int, int]]:
        found = self._listed.get(directory)
        if found is None:
            found = {name: (number, kind) for name, number, kind in self._list(*directory)}
            self._listed[directory] = found
        return found
