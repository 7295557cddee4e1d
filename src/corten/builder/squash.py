"""``--squash``: the layers that a build added become one; those of the base stay.

What the added layers mention is looked at in the finished tree and in the base's: so one
layer comes of it that makes the same of the base, and bytes that follow from the layers alone.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from corten.archive.entry import Entry
from corten.archive.tar_reader import read_members
from corten.archive.tar_writer import TarWriter
from corten.builder.cache import BuildCache, Saved
from corten.builder.members import Members
from corten.builder.stacks import Stacks
from corten.builder.tree import Tree
from corten.oci.codec import canonical_json
from corten.oci.digest import Digest
from corten.oci.image_config import History, ImageConfig, RootFS
from corten.snapshot.members import OPAQUE_MARK, WHITEOUT_PREFIX, clean

_FORMAT = 1
_HISTORY = "corten build --squash"


def squashed(
    config: ImageConfig, base: ImageConfig | None, stacks: Stacks, cache: BuildCache
) -> ImageConfig:
    """The configuration of the image whose layers above `base` are one.

    The history keeps its lines, without layers, and gets one for the new layer.
    Raises: NotFound, Invalid, Unsupported: of the layers.
    """
    below = base.diff_ids if base else ()
    added = config.diff_ids[len(below) :]
    if len(added) < 2:
        return config
    key = _key(below, added)
    known = cache.load(key)
    if known is not None and (known.layer is None or stacks.has(known.layer)):
        layer = known.layer
    else:
        layer = _squash(below, added, stacks)
        cache.save((key,), "", Saved(layer, 0))
    kept = len(base.history) if base else 0
    own = [msgspec.structs.replace(line, empty_layer=True) for line in config.history[kept:]]
    note = f"{len(added)} layers became one"
    own.append(History(config.created, _HISTORY, comment=note, empty_layer=layer is None))
    return msgspec.structs.replace(
        config,
        rootfs=RootFS((*below, layer) if layer is not None else below),
        history=(*config.history[:kept], *own),
    )


def _key(below: Sequence[Digest], added: Sequence[Digest]) -> str:
    raw = canonical_json([_FORMAT, below, added])
    return f"squash:{hashlib.sha256(raw, usedforsecurity=False).hexdigest()}"


class _Touched(NamedTuple):
    """What layers mention: their paths, those that lost what was below, and the root's entry."""

    paths: set[bytes]
    cut: set[bytes]
    root: Entry | None


def _squash(below: tuple[Digest, ...], added: tuple[Digest, ...], stacks: Stacks) -> Digest | None:
    """The one layer; None: the base as it is comes of it."""
    touched = _touched(added, stacks)
    with (
        stacks.view((*below, *added), "the image") as full,
        stacks.view(below, "the base image") as base,
        stacks.new_layer() as layer,
    ):
        tar = TarWriter(layer.write)
        empty = True
        if touched.root is not None:
            tar.add(msgspec.structs.replace(touched.root, name=b"./"))
            empty = False
        members = Members(full)
        for path, mark in _changes(touched, full, base):
            empty = False
            if mark:
                tar.add(Entry(path, "file", 0))
                continue
            for entry, fd in members.at(os.fsdecode(path)):
                tar.add(entry, fd)
        tar.finish()
        return None if empty else layer.commit()


def _touched(layers: Sequence[Digest], stacks: Stacks) -> _Touched:
    paths: set[bytes] = set()
    cut: set[bytes] = set()
    root = None
    for layer in layers:
        fd = os.open(stacks.path(layer), os.O_RDONLY | os.O_CLOEXEC)
        try:
            for entry, _, _ in read_members(fd):
                parts = clean(entry.name, entry.name)
                if not parts:
                    root = entry
                    continue
                last = parts[-1]
                if last == OPAQUE_MARK:
                    cut.add(b"/".join(parts[:-1]))
                    parts.pop()
                elif last.startswith(WHITEOUT_PREFIX):
                    parts[-1] = last[len(WHITEOUT_PREFIX) :]
                    cut.add(b"/".join(parts))
                elif entry.kind != "directory":
                    cut.add(b"/".join(parts))
                for end in range(1, len(parts) + 1):
                    paths.add(b"/".join(parts[:end]))
        finally:
            os.close(fd)
    return _Touched(paths, cut, root)


def _changes(touched: _Touched, full: Tree, base: Tree) -> Iterator[tuple[bytes, bool]]:
    """The paths to put into the layer, parents first; True: it is a mark that hides.

    A path is looked at only where its parent is a directory, so that no link is followed.
    """
    # Directories there are now; those that the base has too, and still shows.
    now: set[bytes] = {b""}
    before: set[bytes] = {b""}
    if b"" in touched.cut:
        before.clear()
        yield OPAQUE_MARK, True
    for path in sorted(touched.paths, key=lambda path: path.split(b"/")):
        parent, _, name = path.rpartition(b"/")
        if parent not in now:
            continue
        lead = parent + b"/" if parent else b""
        kind = _kind(full, path)
        below = _kind(base, path) if parent in before else ""
        if not kind:
            if below:
                yield lead + WHITEOUT_PREFIX + name, True
            continue
        yield path, False
        if kind == "directory":
            now.add(path)
            if below == "directory" and path in touched.cut:
                yield path + b"/" + OPAQUE_MARK, True
            elif below == "directory":
                before.add(path)


def _kind(tree: Tree, path: bytes) -> str:
    """``directory``, ``other``, or empty: there is nothing."""
    state = tree.state(os.fsdecode(path))
    if state is None:
        return ""
    return "directory" if state.st_mode & 0o170000 == 0o040000 else "other"
