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
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from corten.content.ingest import CLAIM, named_for
from corten.content.protocols import Claims, Sink
from corten.errors import Conflict
from corten.events.job import Job
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.system.locks import try_own

PAUSE = 0.05
"""Seconds between two looks at whether the other one is done."""
_PROGRAM = "corten"
_SHOWN = 60
"""How much of another process's command line is shown."""


class Claimed(Conflict):
    """Another brings the blob now.  ``holder`` says who, for people."""

    def __init__(self, digest: Digest, holder: str) -> None:
        super().__init__(f"{holder} brings {digest}")
        self.holder = holder


def claim_file(directory: Path, digest: Digest) -> ExitStack:
    """The claim on a digest, to be left when the blob is there.

    Raises: Claimed: another has it; OSError.
    """
    stack = ExitStack()
    file = named_for(directory, digest, CLAIM)
    if file is not None:
        fd = try_own(file)
        if fd is None:
            holder = _holder(file)
            if _is_stopped(holder):
                return stack
            raise Claimed(digest, _described(holder))
        stack.callback(os.close, fd)
        stack.callback(file.unlink, missing_ok=True)  # called before the lock is let go of
        with suppress(OSError):  # on a full disk it is no more than a lock
            os.ftruncate(fd, 0)
            os.pwrite(fd, b"%d" % os.getpid(), 0)
    return stack


def _holder(file: Path) -> int:
    """The process that holds a claim; 0: it has ended, or has only just begun."""
    try:
        return int(file.read_bytes())
    except (OSError, ValueError):
        return 0


def _is_stopped(pid: int) -> bool:
    """Whether a process was stopped by a signal."""
    from corten.system.process import process_state

    return bool(pid) and process_state(pid) == "T"


def _described(pid: int) -> str:
    """A process for people, with what it was called with."""
    if not pid:
        return "another process"
    if pid == os.getpid():
        return "this process"
    from corten.system.process import command_line

    words = command_line(pid)
    # An interpreter and its options come first.
    names = [word.rpartition("/")[2] for word in words]
    if _PROGRAM in names:
        words = [_PROGRAM, *words[names.index(_PROGRAM) + 1 :]]
    command = " ".join(words)
    shown = command if len(command) <= _SHOWN else f"{command[: _SHOWN - 1]}…"
    return f"process {pid} ({shown})" if shown else f"process {pid}"


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
    shown = f"for {descriptor.digest}: {{}} is bringing it"
    with wait_for(lambda: sink.claim(descriptor), shown, job, check):
        yield


def wait_for(
    claim: Callable[[], AbstractContextManager[object]],
    shown: str,
    job: Job,
    check: Callable[[], None] | None = None,
) -> AbstractContextManager[object]:
    """What `claim` gives as soon as it does not raise Claimed.

    Waiting is a step ``wait`` of `job`, called `shown` with the holder in place of ``{}``.
    Raises: what `check` (else the job's) raises meanwhile.
    """
    try:
        return claim()
    except Claimed as other:
        holder = other.holder
    with job.step("wait", shown.replace("{}", holder)):
        while True:
            (check or job.check)()
            time.sleep(PAUSE)
            with suppress(Claimed):
                return claim()
