"""Sparse members: their holes are not in the tar, so they are written out behind it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from corten.archive.holes import next_data
from corten.content.ingest import storage_error
from corten.snapshot.tree import LayerTree

PIECE = 1024 * 1024


def expand(tree: LayerTree, tar: Path, data: Path) -> None:
    """Write `data`: the tar, followed by every sparse member with its holes (as holes).

    The nodes of `tree` then point into it.  Raises: Unavailable: the disk is full.
    """
    try:
        with tar.open("rb") as source, data.open("xb") as target:
            _expand(tree, source.fileno(), target.fileno())
            os.fsync(target.fileno())
    except OSError as error:
        raise storage_error(error, "write out sparse files") from error


def _expand(tree: LayerTree, source: int, target: int) -> None:
    size = os.fstat(source).st_size
    copy_range(source, 0, target, 0, size)
    for stored, at, count in arrange(tree, size):
        copy_range(source, stored, target, at, count)
    end = max(size, *(node.offset + node.entry.size for node in tree.sparse))
    os.ftruncate(target, (end + 511) & ~511)


def arrange(tree: LayerTree, size: int) -> Iterator[tuple[int, int, int]]:
    """Give the sparse files of `tree` their places behind its tar of `size` bytes.

    Yields what has to be copied there, in order: from which byte of the tar, to where, how
    much.  The rest is holes.
    """
    at = size
    for node in tree.sparse:
        at = (at + 511) & ~511
        start, stored = at, node.offset
        for offset, length in node.entry.sparse or ():
            yield stored, start + offset, length
            stored += length
        node.offset = start
        node.entry = msgspec.structs.replace(node.entry, sparse=None)
        at = start + node.entry.size


def copy_range(source: int, offset: int, target: int, at: int, count: int) -> None:
    """Copy `count` bytes to where `target` has none yet, large stretches inside the kernel.

    Holes in these stay holes.  Small ones go through memory: for those the kernel's way
    costs 2.3 times as much.  Raises: OSError; EOFError: the source is shorter.
    """
    if count > PIECE:
        done = _copy_large(source, offset, target, at, count)
        offset, at, count = offset + done, at + done, count - done
    while count:
        piece = os.pread(source, min(count, PIECE), offset)
        if not piece:
            raise EOFError(f"the file ends {count} bytes early")
        written = os.pwrite(target, piece, at)
        offset, at, count = offset + written, at + written, count - written


def _copy_large(source: int, offset: int, target: int, at: int, count: int) -> int:
    """As `copy_range`, as far as the kernel does it; returns how many bytes that was."""
    begin, end = offset, min(offset + count, os.fstat(source).st_size)
    while offset < end:
        start, stop = next_data(source, offset, end)
        offset, stop = min(start, end), min(stop, end)
        while offset < stop:
            to = at + offset - begin
            try:
                done = os.copy_file_range(source, target, stop - offset, offset, to)
            except OSError:
                return offset - begin  # across file systems, or one that does not offer it
            if not done:
                return offset - begin
            offset += done
    if os.fstat(target).st_size < at + offset - begin:  # it ends with a hole
        os.ftruncate(target, at + offset - begin)
    return max(offset - begin, 0)
