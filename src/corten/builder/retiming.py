"""``rewrite-timestamp``: no file of the layers that a build added is newer than SOURCE_DATE_EPOCH.

What RUN writes has the time of the run; without it, the same build gives the same bytes.
Spec: BuildKit, docs/build-repro.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import BinaryIO

import msgspec

from corten.archive.entry import Entry
from corten.archive.tar_reader import read_members
from corten.archive.tar_writer import TarWriter
from corten.builder.cache import BuildCache, Saved
from corten.builder.stacks import Stacks
from corten.content.protocols import PIECE
from corten.oci.digest import Digest
from corten.oci.image_config import ImageConfig, RootFS

_SECOND = 1_000_000_000


def retimed(
    config: ImageConfig,
    base: ImageConfig | None,
    epoch: int,
    stacks: Stacks,
    cache: BuildCache,
) -> ImageConfig:
    """The configuration of the image whose layers above `base` have no later time than `epoch`.

    `epoch` is in Unix seconds.  A layer without one stays the layer that it is.
    Raises: NotFound, Invalid: of the layers; Unavailable.
    """
    kept = len(base.diff_ids) if base else 0
    layers = list(config.diff_ids)
    for at in range(kept, len(layers)):
        key = f"retimed:{layers[at]}:{epoch}"
        known = cache.load(key)
        if known is None or known.layer is None or not stacks.has(known.layer):
            known = Saved(_retime(layers[at], epoch * _SECOND, stacks), 0)
            cache.save((key,), "", known)
        layers[at] = known.layer or layers[at]
    return msgspec.structs.replace(config, rootfs=RootFS(tuple(layers)))


def _retime(layer: Digest, latest: int, stacks: Stacks) -> Digest:
    fd = os.open(stacks.path(layer), os.O_RDONLY | os.O_CLOEXEC)
    try:
        if all(entry.mtime_ns <= latest for entry, _, _ in read_members(fd)):
            return layer
        with stacks.new_layer() as made:
            tar = TarWriter(made.write)
            for entry, offset, _ in read_members(fd):
                changed = msgspec.structs.replace(entry, mtime_ns=min(entry.mtime_ns, latest))
                if entry.sparse is not None:
                    _add_sparse(tar, changed, fd, offset, stacks.scratch)
                else:
                    os.lseek(fd, offset, os.SEEK_SET)
                    tar.add(changed, fd if entry.kind == "file" else None)
            tar.finish()
            return made.commit()
    finally:
        os.close(fd)


def _add_sparse(
    tar: TarWriter, entry: Entry, fd: int, offset: int, scratch: Callable[[], BinaryIO]
) -> None:
    """A sparse file, laid out again: its stretches lie one behind the other in the tar."""
    with scratch() as file:
        target = file.fileno()
        for start, length in entry.sparse or ():
            os.lseek(target, start, os.SEEK_SET)
            left = length
            while left:
                sent = os.sendfile(target, fd, offset, min(left, PIECE))
                if not sent:
                    break  # the tar is verified: it is as long as its members say
                offset, left = offset + sent, left - sent
        os.ftruncate(target, entry.size)
        tar.add(entry, target)
