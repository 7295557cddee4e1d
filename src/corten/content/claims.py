"""Claims: of several that bring one blob to one sink, one does, and the others wait for it.

A claim is a locked file.  The kernel drops the lock when its holder dies, and who waited
goes on from what the dead one left behind.  The file says who the holder is: one that was
stopped (^Z) may never go on, so nobody waits for it.

Who waits has no claim, and who has one waits for no other: so two that bring the same blobs
in different orders cannot wait for each other.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from corten.content.ingest import CLAIM, named_for
from corten.content.protocols import Claims, Sink
from corten.events.job import Job
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.system.locks import try_own

PAUSE = 0.05
"""Seconds between two looks at whether the other one is done."""


def claim_file(directory: Path, digest: Digest) -> ExitStack | None:
    """The claim on a digest, to be left when the blob is there; None: another has it.

    Raises: OSError.
    """
    stack = ExitStack()
    file = named_for(directory, digest, CLAIM)
    if file is not None:
        fd = try_own(file)
        if fd is None:
            return stack if _is_stopped(file) else None
        stack.callback(os.close, fd)
        stack.callback(file.unlink, missing_ok=True)  # called before the lock is let go of
        with suppress(OSError):  # on a full disk it is no more than a lock
            os.ftruncate(fd, 0)
            os.pwrite(fd, b"%d" % os.getpid(), 0)
    return stack


def _is_stopped(file: Path) -> bool:
    """Whether the process that holds a claim was stopped by a signal."""
    from corten.system.process import process_state

    try:
        return process_state(int(file.read_bytes())) == "T"
    except (OSError, ValueError):
        return False  # it has ended, or has only just begun


@contextmanager
def claimed(
    sink: Sink, descriptor: Descriptor, job: Job, check: Callable[[], None] | None = None
) -> Iterator[None]:
    """Alone in bringing the blob to `sink` for the block, if that is shared.

    Waiting for another is a step ``wait`` of `job`; `check` (else the job's) is called all
    the time and raises to give up.  After that the blob may be there: ask.
    """
    if not isinstance(sink, Claims):
        yield
        return
    claim = sink.claim(descriptor)
    if claim is None:
        with job.step("wait", str(descriptor.digest)):
            while (claim := sink.claim(descriptor)) is None:
                (check or job.check)()
                time.sleep(PAUSE)
    with claim:
        yield
