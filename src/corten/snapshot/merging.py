"""Merges the indexes of a stack of layers into one, as overlayfs would show the stack.

The index of the largest layer is taken over as it is; what other layers bring is put
behind it.  Only directories that several layers share, or in which something is
hidden, are written anew, at the same inode: so the cost depends on how much the other
layers hold, not on the largest one.  What an index points into stays where it is: the
tar of every layer is one more device.

A directory looks as in the topmost layer that names it, not only implies it
(:mod:`corten.snapshot.implied`).  Whiteouts and opaque directories
are resolved, hard links counted by the names that are left, and links into lower layers
(:mod:`corten.snapshot.links`) are further names of those files.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from corten.config.limits import MERGE_LIMIT
from corten.errors import Unsupported
from corten.oci.digest import Digest
from corten.snapshot.erofs_layout import (
    BLOCK,
    CHAR,
    DEVICE_ADDRESS,
    DIRECTORY,
    FILE,
    INODE,
    LAST_ADDRESS,
    META,
    NO_BLOCK,
    PLAIN,
    SLOT,
    SLOT_TABLE,
    SYMLINK,
    Device,
    Dirent,
    Parts,
    blocks_of,
    superblock,
)
from corten.snapshot.erofs_reader import IndexReader
from corten.snapshot.holdings import LayerRecord
from corten.snapshot.implied import covering
from corten.snapshot.links import ForeignLink, Steps
from corten.snapshot.merged_links import Source, resolve_links

INDEX_BYTES = 96
"""How many bytes of an index count as one name, where attributes take more room than names do."""
_STEPS = 16
"""How often a name that is looked at may be one on the way to what a link names."""
_LINKS = struct.Struct("<I")
_ADDRESS = struct.Struct("<II")


class Stratum(NamedTuple):
    """A layer of a stack to be merged: its verified index, and what its record says."""

    diff_id: Digest
    reader: IndexReader
    record: LayerRecord

    @property
    def opaque(self) -> bool:
        """Whether nothing of lower layers shows."""
        return self.record.opaque

    @property
    def links(self) -> tuple[ForeignLink, ...]:
        """Its names for files of lower layers."""
        return self.record.links


class Merged(NamedTuple):
    """An index of a stack, in pieces, and the layers whose data are its devices, in that order."""

    pieces: Sequence[bytes | bytearray]
    devices: tuple[Digest, ...]


def merge_indexes(layers: Sequence[Stratum], limit: int = MERGE_LIMIT) -> Merged:
    """The index of the stack `layers`, lowest first; at least one, any of them repeatedly.

    Raises: Unsupported: EROFS cannot express it, or more than `limit` names have to be
    looked at, each in the layer that has it; Invalid: a link names what is not there.
    """
    return _Merger(layers, limit).merge()


def too_many(limit: int) -> Unsupported:
    """Why a stack is not merged that would take too much memory."""
    return Unsupported(
        f"its layers have more files to be merged than {limit}",
        hint="set CORTEN_MERGE_LIMIT to more, which takes memory, or use --storage-driver overlay",
    )


class _Item(NamedTuple):
    """A directory to be written: who has it (topmost first), its inode, its parent's."""

    sources: list[Source]
    nid: int
    parent: int


class _Merger:
    def __init__(self, layers: Sequence[Stratum], limit: int) -> None:
        self.limit = self.left = limit
        # overlayfs refuses a layer twice; the topmost occurrence covers the others.
        unique = {layer.diff_id: layer for layer in reversed(layers)}
        self.layers = list(unique.values())[::-1]
        place = {layer.diff_id: at for at, layer in enumerate(self.layers)}
        order = [place[layer.diff_id] for layer in layers]
        self.readers = [layer.reader for layer in self.layers]
        steps = Steps(_STEPS * limit)
        self.extra, self.shared = resolve_links(self.layers, order, self._names, steps)
        self.implied = [_implied_inodes(layer) for layer in self.layers]
        self.roots = self._roots()
        at = max(self.roots, key=lambda source: self.readers[source[0]].count)[0]
        self.base, self.reader = at, self.readers[at]
        if not self.reader.mergeable:
            raise Unsupported("the largest layer's index has no room for more devices")
        self.out = bytearray(self.reader.data)
        self.out += bytes(-len(self.out) % BLOCK)
        self.parts = Parts(len(self.out))
        self.parts.count = self.reader.count
        self.devices: dict[int, Device] = {}
        self._device(at)
        self.changed = self._changed_directories()
        # Files of other layers that have several names: their new inodes, and how many so far.
        self.copies: dict[Source, int] = {}
        self.names: Counter[int] = Counter()
        # How many names files of the base won and lost.
        self.balance: Counter[int] = Counter()
        # Directories in `out` whose block address is to be added to.
        self.relocations: list[tuple[int, int]] = []

    def merge(self) -> Merged:
        root = self._root()
        queue = [_Item(self.roots, root, root)]
        while queue:
            self._directory(queue.pop(), queue)
        out, parts = self.out, self.parts
        first = parts.finish()
        for at, block in self.relocations:
            _LINKS.pack_into(out, at, first + block)
        for nid, change in self.balance.items():
            at = (nid << 5) + 44
            _LINKS.pack_into(out, at, _LINKS.unpack_from(out, at)[0] + change)
        blocks = first + parts.block_count
        head = superblock(root, parts.count, blocks, list(self.devices.values()))
        out[: len(head)] = head
        pieces: list[bytes | bytearray] = [out, parts.inodes, *parts.blocks]
        return Merged(pieces, tuple(self.layers[at].diff_id for at in self.devices))

    def _roots(self) -> list[Source]:
        """The root directories that show, topmost first."""
        found = []
        for at in range(len(self.layers) - 1, -1, -1):
            found.append((at, self.readers[at].root))
            if self.layers[at].opaque:
                break
        return found

    def _root(self) -> int:
        """Give the root its metadata: those of the topmost layer that speaks of it."""
        spoken = [at for at, layer in enumerate(self.layers) if layer.record.root is not None]
        source = (spoken[-1], self.readers[spoken[-1]].root) if spoken else self.roots[0]
        area = self.readers[source[0]].area(source[1])
        if len(area) <= len(self.reader.raw_area(self.reader.root)):
            return self._write_over(self.reader.root, source, area)
        # Its number must be small: there is room where the slots of more devices would be.
        at = (META - INODE.size - len(area)) & ~63
        if at < SLOT_TABLE + SLOT * len(self.layers):
            raise Unsupported("the root directory has too large attributes")
        return self._write_over(at >> 5, source, area)

    def _directory(self, item: _Item, queue: list[_Item]) -> None:
        """Write a directory anew and queue those in it that have to be."""
        nid, base = item.nid, self.base
        own = next((number for at, number in item.sources if at == base), nid)
        entries: list[Dirent] = [(b".", nid, DIRECTORY), (b"..", item.parent, DIRECTORY)]
        looks: dict[bytes, Source] = {}
        if len(item.sources) == 1 and item.sources[0][1] not in self.extra[item.sources[0][0]]:
            directories = self._alone(*item.sources[0], entries)
        else:
            directories = self._visible(item.sources, entries, looks)
        for name, sources in directories.items():
            at, number = sources[0]
            if at == base and len(sources) == 1 and number not in self.changed:
                if own != nid:  # its parent got another number
                    struct.pack_into("<Q", self.out, self.reader.parent_entry(number), nid)
            else:
                number = self._take_directory(sources, looks.get(name, sources[0]))
                queue.append(_Item(sources, number, nid))
            entries.append((name, number, DIRECTORY))
        nlink = 2 + len(directories)
        start, size = self.parts.add_directory(entries)
        if nid << 5 >= self.parts.origin:
            self.parts.fill_directory(nid, start, size, nlink)
        else:
            at = nid << 5
            struct.pack_into("<Q", self.out, at + 8, size)
            _LINKS.pack_into(self.out, at + 44, nlink)
            self.relocations.append((at + 16, start))

    def _visible(
        self, sources: Sequence[Source], entries: list[Dirent], looks: dict[bytes, Source]
    ) -> dict[bytes, list[Source]]:
        """What shows of directories that are merged, topmost first.

        Adds files to `entries`, at once, so that no more is kept of each; returns the
        directories, and adds to `looks` those whose metadata are not their topmost's.
        """
        found: dict[bytes, list[Source]] = {}
        closed: set[bytes] = set()  # names below which nothing shows any more
        # Directories that are only implied so far: lower layers say what they look like.
        implied: set[bytes] = set()
        for at, nid in sources:
            reader, base = self.readers[at], at == self.base
            for dirent in self._names(at, nid):
                name, number, kind = dirent
                if implied and name in implied and number not in self.implied[at]:
                    implied.remove(name)
                    if kind == DIRECTORY:
                        looks[name] = (at, number)
                if name in closed or (kind != DIRECTORY and name in found):
                    closed.add(name)
                    if base:
                        self._hide(number, kind)
                elif kind == DIRECTORY:
                    if name in found:
                        found[name].append((at, number))
                    else:
                        found[name] = [(at, number)]
                        if number in self.implied[at]:
                            implied.add(name)
                    if reader.is_opaque(number):
                        closed.add(name)
                else:
                    closed.add(name)
                    if kind != CHAR or not reader.is_whiteout(number):
                        entries.append(
                            dirent if base else (name, self._copy(at, number, kind), kind)
                        )
            for name, source in self.extra[at].get(nid, {}).items():
                if name not in closed and name not in found:
                    entries.append(self._foreign(name, *source))
                closed.add(name)
                implied.discard(name)
        return found

    def _alone(self, at: int, nid: int, entries: list[Dirent]) -> dict[bytes, list[Source]]:
        """As `_visible`, of a directory that one layer alone has."""
        reader, base = self.readers[at], at == self.base
        found: dict[bytes, list[Source]] = {}
        for dirent in self._names(at, nid):
            name, number, kind = dirent
            if kind == DIRECTORY:
                found[name] = [(at, number)]
            elif kind != CHAR or not reader.is_whiteout(number):
                entries.append(dirent if base else (name, self._copy(at, number, kind), kind))
        return found

    def _names(self, at: int, nid: int) -> Iterator[Dirent]:
        """What a layer has in a directory.  Raises: Unsupported: it was too much altogether."""
        for piece in self.readers[at].listing(nid):
            self.left -= len(piece)
            if self.left < 0:
                raise too_many(self.limit)
            yield from piece

    def _foreign(self, name: bytes, at: int, number: int) -> Dirent:
        """The entry of a link into a lower layer."""
        kind = self.readers[at].kind(number)
        if at == self.base:
            self.balance[number] += 1
            return name, number, kind
        return name, self._copy(at, number, kind), kind

    def _take_directory(self, sources: list[Source], source: Source) -> int:
        """The inode of a directory that several layers share, or that the base lacks.

        Its metadata are those of `source`.
        """
        reader = self.readers[source[0]]
        area = reader.area(source[1])
        for at, nid in sources:
            if at == self.base and len(area) <= len(self.reader.raw_area(nid)):
                return self._write_over(nid, source, area)
        _, _, mode, _, _, _, _, uid, gid, seconds, fraction, _ = reader.inode(source[1])
        return self.parts.add_inode((mode, 0, 0, uid, gid, seconds, fraction, 0), area)

    def _write_over(self, nid: int, source: Source, area: bytes) -> int:
        """Put a directory's metadata at the inode `nid` of the base; returns `nid`."""
        _, _, mode, _, _, _, number, uid, gid, seconds, fraction, _ = self.readers[source[0]].inode(
            source[1]
        )
        count = (len(area) - 12) // 4 + 1 if area else 0
        fields = (PLAIN, count, mode, 0, 0, 0, number, uid, gid, seconds, fraction, 0)
        at = nid << 5
        INODE.pack_into(self.out, at, *fields)
        self.out[at + INODE.size : at + INODE.size + len(area)] = area
        return nid

    def _copy(self, at: int, nid: int, kind: int) -> int:
        """The inode in the merged index of a file, symlink or device of another layer."""
        source = (at, nid)
        reader = self.readers[at]
        known = self.copies.get(source)
        if known is not None:
            self.names[known] += 1
            self.parts.set_links(known, self.names[known])
            return known
        _, count, mode, _, size, address, _, uid, gid, seconds, fraction, nlink = reader.inode(nid)
        if kind == FILE and address != NO_BLOCK:
            address += self._device(at).address - DEVICE_ADDRESS
        if kind == FILE and not count and nlink == 1 and source not in self.shared:
            # As `add_inode` does it, without the call: most of what layers hold is this.
            parts, head = self.parts, reader.data[nid << 5 : (nid << 5) + INODE.size]
            new = (len(parts.inodes) + parts.origin) >> 5
            parts.count += 1
            parts.inodes += head[:16] + _ADDRESS.pack(address, parts.count) + head[24:]
            return new
        target = reader.target(nid) if kind == SYMLINK else b""
        fields = (mode, size, address, uid, gid, seconds, fraction, 1)
        new = self.parts.add_inode(fields, reader.raw_area(nid), target)
        if nlink > 1 or source in self.shared:
            self.copies[source] = new
            self.names[new] = 1
        return new

    def _device(self, at: int) -> Device:
        """The device that a layer's data are, from its first use on."""
        device = self.devices.get(at)
        if device is None:
            address = DEVICE_ADDRESS
            if self.devices:
                last = next(reversed(self.devices.values()))
                address = last.address + last.blocks
            device = Device(blocks_of(self.layers[at].record.data_size), address)
            if address + device.blocks > LAST_ADDRESS:
                raise Unsupported(
                    "the layers are larger together (2 TiB) than one index can address",
                    hint="use --storage-driver overlay",
                )
            self.devices[at] = device
        return device

    def _hide(self, nid: int, kind: int) -> None:
        """A name of the base does not show: what it held has one name less."""
        todo = [(nid, kind)]
        while todo:
            number, kind = todo.pop()
            if kind == DIRECTORY:
                todo += [(inner, kind) for _, inner, kind in self.reader.names(number)]
            elif self.reader.inode(number)[11] > 1 or (self.base, number) in self.shared:
                self.balance[number] -= 1

    def _changed_directories(self) -> set[int]:
        """Directories of the base in which, at any depth, are whiteouts, marks or foreign links."""
        changed: set[int] = set()
        extra = self.extra[self.base]
        if not self.layers[self.base].record.whiteouts and not extra:
            return changed
        reader = self.reader
        above = {reader.root: reader.root}
        todo = [reader.root]
        while todo:
            nid = todo.pop()
            inner, hiding = reader.directories(nid, above[nid])
            above.update(dict.fromkeys(inner, nid))
            todo += inner
            if hiding or nid in extra or reader.is_marked(nid):
                while nid not in changed:
                    changed.add(nid)
                    nid = above[nid]
        return changed


def _implied_inodes(layer: Stratum) -> set[int]:
    """The directories that a layer only implies."""
    reader = layer.reader

    def enter(nid: int, name: bytes) -> int | None:
        found = reader.entry(nid, name)
        return found[0] if found else None

    return {nid for _, nid in covering(layer.record.implied, reader.root, enter)}
