"""Reading the documents of an image graph, which may be hostile, within limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from corten.content.protocols import PIECE, Sink, Source
from corten.errors import Corrupt, Invalid
from corten.oci import media
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.oci.manifest import MANIFEST_LIMIT

DEPTH_LIMIT = 6
"""How deep indexes may list indexes."""
COUNT_LIMIT = 20_000
"""How many blobs one graph may have."""

BYTES_LIMIT = 64 * 1024 * 1024
"""How many bytes the documents of one graph may have together: they are held in memory."""


def is_document(descriptor: Descriptor) -> bool:
    """Whether it names further content."""
    return descriptor.media_type in media.DOCUMENTS


def write_document(sink: Sink, descriptor: Descriptor, raw: bytes, name: str = "") -> None:
    """Put a small blob that is held in memory into `sink`, going on after what is there of it.

    If that was damaged (by a power cut), from the beginning.  Raises: what the sink raises.
    """
    with sink.ingest(descriptor, name) as ingest:
        resumed = ingest.offset
        ingest.write(memoryview(raw)[resumed:])
        try:
            ingest.commit(descriptor.digest)
        except Corrupt:
            if not resumed:
                raise
        else:
            return
    with sink.ingest(descriptor, name) as ingest:
        ingest.write(memoryview(raw)[ingest.offset :])
        ingest.commit(descriptor.digest)


def read_document(source: Source, descriptor: Descriptor, limit: int = MANIFEST_LIMIT) -> bytes:
    """A small blob whole, verified.

    Raises: Invalid: the descriptor says more than `limit` bytes; Corrupt: size or
    digest are not the descriptor's; what `source.open` raises.
    """
    if descriptor.size > limit:
        raise Invalid(
            f"{descriptor.digest} has {descriptor.size} bytes, more than the limit of {limit}"
        )
    pieces: list[bytes] = []
    size = 0
    with source.open(descriptor) as reader:
        while piece := reader.read(min(PIECE, descriptor.size - size + 1)):
            pieces.append(piece)
            size += len(piece)
            if size > descriptor.size:
                raise Corrupt(f"{descriptor.digest} is longer than its {descriptor.size} bytes")
    raw = b"".join(pieces)
    if size != descriptor.size:
        raise Corrupt(f"{descriptor.digest} has {size} bytes instead of {descriptor.size}")
    found = Digest.of(raw, descriptor.digest.algorithm)
    if found != descriptor.digest:
        raise Corrupt(
            f"the content of {descriptor.digest} is not what that digest says, but {found}"
        )
    return raw


def check_bytes(held: int, documents: Iterable[Descriptor]) -> None:
    """Raises: Invalid: `documents`, with `held` bytes of others, are too many bytes."""
    if held + sum(d.size for d in documents) > BYTES_LIMIT:
        raise Invalid(f"the manifests have more than {BYTES_LIMIT} bytes together")


def bottom_up(below: Mapping[Descriptor, Set[Digest]]) -> list[list[Descriptor]]:
    """The documents in rounds, so that each comes after those it names.

    `below` gives for each document the digests of the documents that it names;
    those that are not keys do not count.  Raises: Invalid: nested too deep.
    """
    known = {descriptor.digest for descriptor in below}
    left = dict(below)
    done: set[Digest] = set()
    rounds: list[list[Descriptor]] = []
    while left:
        ready = [d for d, children in left.items() if (children & known) <= done]
        if not ready or len(rounds) == DEPTH_LIMIT:
            raise Invalid(f"manifests are nested deeper than {DEPTH_LIMIT} levels")
        rounds.append(ready)
        done.update(d.digest for d in ready)
        for descriptor in ready:
            del left[descriptor]
    return rounds
