"""A build context that comes as a tar: unpacked into a directory of our own.

The members go through the model that layers go through, so no name, link or device of a
hostile archive reaches anything outside; see `corten.snapshot.tree`.
"""

from __future__ import annotations

from pathlib import Path

from corten.archive.compression import PIECE, detect, inflater
from corten.archive.expansion import Expansion
from corten.archive.tar_fields import BLOCK, check_sum
from corten.archive.tar_reader import read_members
from corten.builder.arriving_input import Readable
from corten.content.ingest import storage_error
from corten.errors import CortenError, Invalid
from corten.events.job import Job
from corten.snapshot.extraction import extract
from corten.snapshot.tree import LayerTree


def looks_like_tar(head: bytes) -> bool:
    """Whether what begins with `head` (at least 512 bytes, if it has them) is a tar.

    Compressed bytes count: no Dockerfile begins like them.  So do two empty blocks, an
    empty tar.
    """
    if detect(head):
        return True
    block = head[:BLOCK]
    if len(block) < BLOCK:
        return False
    if not any(block):
        return True
    try:
        check_sum(block)
    except CortenError:
        return False
    return block[0] != 0


def unpack_context(head: bytes, rest: Readable, place: Path, limit: int, job: Job) -> Path:
    """Unpack a tar, whose first bytes are `head`, into a new directory under `place`.

    It may be compressed (gzip, bzip2, xz, zstd).  `limit` in bytes is for what expands, as a
    layer's.  Raises: Invalid: no tar, or a member leads out; Corrupt: damaged compression;
    Unsupported: too large; Unavailable: the disk is full; Cancelled.
    """
    tar = place / "context.tar"
    try:
        with tar.open("wb") as plain:
            stream = inflater(detect(head), plain.write, limit)
            piece = head
            while piece:
                job.check()
                stream.feed(piece)
                piece = rest.read(PIECE)
            stream.finish()
        target = place / "context"
        target.mkdir(0o755)
        _extract(tar, target, limit)
    except OSError as error:
        raise storage_error(error, "unpack the build context") from error
    finally:
        tar.unlink(missing_ok=True)
    return target


def _extract(tar: Path, target: Path, limit: int) -> None:
    tree = LayerTree()
    with tar.open("rb") as file:
        size = tar.stat().st_size
        expansion = Expansion(limit)
        expansion.take(size)
        for entry, offset, stored in read_members(file.fileno()):
            if offset + stored > size:
                raise Invalid("the build context is a tar that ends in the middle of a file")
            if entry.kind == "file":
                expansion.give(entry.size)  # what has holes in the tar has none in a layer
            tree.add(entry, offset)
    tree.complete()
    if tree.whiteouts:
        raise Invalid(
            "the build context has files whose names begin with .wh.",
            hint="a layer cannot hold them: leave them out of the tar",
        )
    if tree.links:
        raise Invalid("the build context has a hard link to a file that is not in it")
    extract(tree, tar, target)
