"""A large copy is made in a process of its own, so that it has a core of its own.

One process reads the tree and makes the tar (:mod:`corten.builder.copy_process`, which runs
the very code that runs here for a small copy); this one stores, hashes and indexes it.
Bytes go through memory that both have; so the tar is the same, whoever makes it.
See docs/adr/0012.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from corten import errors
from corten.builder.copy_process import (
    CODE,
    SLOT,
    Broken,
    Digests,
    Ended,
    Failed,
    Piece,
    Ready,
    Request,
    receive,
    send,
)
from corten.builder.copying import Copied, Sources, write_layer
from corten.builder.graph import Copy, is_remote
from corten.builder.hashes import Hashes
from corten.builder.selecting import choose
from corten.builder.tree import Tree
from corten.builder.walk import count_names
from corten.errors import CortenError, Unavailable
from corten.events.job import Job

MANY = 6000
"""From how many names on a copy is worth a process: to start it takes as long as to copy some 3000."""
_LOOK = 200
"""Milliseconds between two looks at whether the job was cancelled."""
# Without what msgspec takes from there if it can: see `corten.cli.entry`.
_PROGRAM = (
    "import sys; sys.modules['typing_extensions'] = None; import msgspec; "
    "del sys.modules['typing_extensions']; "
    "from corten.builder.copy_process import main; sys.exit(main())"
)


def copy_layer(
    op: Copy,
    sources: Sources,
    write: Callable[[bytes], object],
    below: Tree | None,
    job: Job,
    many: int = MANY,
) -> Copied:
    """As :func:`corten.builder.copying.write_layer`; from `many` names on in two processes.

    Raises also: Unavailable: the second process was killed.
    """
    if _is_large(op, sources.tree, many):
        copied = copy_apart(op, sources, write, below, job)
        if copied is not None:
            return copied
    return write_layer(op, sources, write, below, job)


def _is_large(op: Copy, tree: Tree, many: int) -> bool:
    """Whether there is enough to copy, and nothing else to do than that, and cores for it."""
    if len(os.sched_getaffinity(0)) < 2 or any(is_remote(source) for source in op.sources):
        return False
    left = many
    for each in [each for source in op.sources for each in choose(op, tree, source)]:
        if each.is_directory:
            left -= count_names(tree, each.found.path, left, each.leaves_out)
        elif op.unpacks:
            return False  # it may be an archive
    return left <= 0


def copy_apart(
    op: Copy, sources: Sources, write: Callable[[bytes], object], below: Tree | None, job: Job
) -> Copied | None:
    """As `copy_layer`, in two processes; None: the second one cannot be started here."""
    try:
        memory = os.memfd_create("corten-copy")
    except OSError:
        return None
    try:
        with _process(_request(op, sources, below, memory)) as process:
            return _follow(process, memory, sources.hashes, write, job)
    except _NotStarted:
        return None
    finally:
        os.close(memory)


class _NotStarted(Exception):
    pass


def _request(op: Copy, sources: Sources, below: Tree | None, memory: int) -> Request:
    tree = sources.tree
    return Request(
        op=op,
        keep_owner=sources.keep_owner,
        tree=tree.fd,
        label=tree.label,
        ignore=tree.ignore.patterns if tree.ignore is not None else (),
        below=below.fd if below is not None else -1,
        below_label=below.label if below is not None else "",
        memory=memory,
    )


@contextmanager
def _process(request: Request) -> Iterator[subprocess.Popen[bytes]]:
    """The second process for the time of the block."""
    descriptors = [fd for fd in (request.tree, request.below, request.memory) if fd >= 0]
    if min(descriptors) <= 2:
        raise _NotStarted  # where ours are closed, and the process has its pipes
    try:
        process = subprocess.Popen(
            _interpreter(),
            # With it, it would not end, and take what it is sent for a program.
            env={**os.environ, "PYTHONINSPECT": ""},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            pass_fds=descriptors,
        )
    except OSError:
        raise _NotStarted from None
    with process:
        try:
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # what it says, or does not, tells why
                send(process.stdin.fileno(), request)
            yield process
        finally:
            process.kill()


def _interpreter() -> list[str]:
    """How an interpreter like this one is started.  Raises: _NotStarted.

    Where Python is part of another program, `sys.executable` may be that program, and who knows
    what it does when it is started.
    """
    program = sys.executable or ""
    if getattr(sys, "frozen", False) or not os.path.basename(program).startswith("python"):  # noqa: PTH119
        raise _NotStarted
    flags = sys.flags
    isolation = ["-E"] * flags.ignore_environment + ["-s"] * flags.no_user_site
    # -P: no module is taken from the directory in which somebody builds.
    return [program, *isolation, "-P", "-X", f"utf8={flags.utf8_mode}", "-c", _PROGRAM]


def _follow(
    process: subprocess.Popen[bytes],
    memory: int,
    hashes: Hashes | None,
    write: Callable[[bytes], object],
    job: Job,
) -> Copied:
    """Take what the process makes, until it has ended."""
    assert process.stdin is not None
    assert process.stdout is not None
    given, reports = process.stdin.fileno(), process.stdout.fileno()
    waiting = select.poll()
    waiting.register(reports, select.POLLIN)
    started = False
    while True:
        job.check()
        if not waiting.poll(_LOOK):
            continue
        report = receive(reports)
        match report:
            case Ready(code):
                if code != CODE:
                    raise _NotStarted
                started = True
            case Piece(slot, size):
                data = os.pread(memory, size, slot * SLOT)
                with suppress(BrokenPipeError):  # it may have ended
                    os.write(given, bytes((slot,)))
                write(data)
            case Digests(learnt, began):
                if hashes is not None:
                    hashes.keep(learnt, began)
            case Ended(digest, newest, entries):
                return Copied(digest, newest, entries)
            case Failed() | Broken():
                raise error_of(report)
            case None if not started:
                raise _NotStarted
            case None:
                job.check()
                status = process.wait()
                reason = f"signal {-status}" if status < 0 else f"exit status {status}"
                raise Unavailable(
                    f"the process that reads what is copied ended ({reason})", hint="build again"
                )


def error_of(report: Failed | Broken) -> Exception:
    """The error that the process met, as if it had been met here."""
    message = os.fsdecode(report.message)
    if isinstance(report, Failed):
        family: type[CortenError] = getattr(errors, report.family)
        return family(message, hint=os.fsdecode(report.hint))
    file = (os.fsdecode(report.file),) if report.file else ()
    error = OSError(report.number, message, *file) if report.number else RuntimeError(message)
    error.add_note(os.fsdecode(report.trace))
    return error
