"""Blobs: whether each is what its digest says, and whether all that images need are there."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from corten.content.blobs import BlobDirectory
from corten.content.protocols import PIECE
from corten.engine.checking.survey import Needs
from corten.errors import NotFound
from corten.events.job import Job
from corten.oci.digest import Digest, new_hasher


class Verified(NamedTuple):
    """What hashing showed: damaged blobs with what is wrong, and how much was read."""

    damaged: dict[Digest, str]
    blobs: int
    size: int


def verify(blobs: BlobDirectory, needs: Needs, job: Job) -> Verified:
    """Hash every blob, several at a time, in a step of kind ``check`` that counts bytes.

    Memory: a piece of 1 MiB for each core.  Raises: Unavailable: the disk does not read; Cancelled.
    """
    found = sorted(((s.st_size, d) for d, s in blobs.scan()), reverse=True)
    total = sum(size for size, _ in found)
    damaged: dict[Digest, str] = {}
    lock = threading.Lock()
    with job.step("check", "blobs", total) as step:

        def advance(count: int) -> None:
            with lock:
                step.advance(count)

        def look(digest: Digest) -> str:
            problem = _problem(blobs, digest, needs, advance)
            # A read error of the moment, or a blob that was just replaced, is no damage.
            return problem and _problem(blobs, digest, needs, lambda count: step.check())

        with ThreadPoolExecutor(max(2, os.cpu_count() or 1), "corten-check") as pool:
            try:
                jobs = {digest: pool.submit(look, digest) for _, digest in found}
                for digest, future in jobs.items():
                    if problem := future.result():
                        damaged[digest] = problem
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
    return Verified(damaged, len(found), total)


def _problem(
    blobs: BlobDirectory, digest: Digest, needs: Needs, advance: Callable[[int], None]
) -> str:
    if not digest.computable:
        return ""
    hasher = new_hasher(digest.algorithm)
    piece = bytearray(PIECE)
    view = memoryview(piece)
    size = 0
    try:
        with blobs.open(digest) as file:
            while count := file.readinto(piece):
                hasher.update(view[:count])
                size += count
                advance(count)
    except NotFound:
        return ""  # collected meanwhile, or replaced
    if Digest.from_hasher(hasher, digest.algorithm) == digest:
        return ""
    need = needs.get(digest)
    if need is not None and need.size not in (None, size):
        return f"it is {size} bytes long instead of {need.size}"
    return "its content has another digest"


def absent(blobs: BlobDirectory, needs: Needs) -> Iterator[Digest]:
    """What is needed and not there."""
    for digest, need in needs.items():
        if not need.optional and blobs.size_or_none(digest) is None:
            yield digest
