"""Ending a process at any one of its system calls, exactly.

The work runs in a fork of the calling process under a seccomp filter that stops it,
for its tracer, before each system call that changes something outside of its memory
(:data:`CALLS`).  The tracer counts those of the process itself (all its threads, not
the programs that it starts) and kills it with SIGKILL before the call of a
given number is made: what ``kill -9`` at that moment leaves is what the next command
finds.  Nothing of the code under test is touched, and what SQLite and other C
libraries do counts as well.

Programs that the process started live on, as they do after a real ``kill -9``.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

SUPPORTED = platform.machine() == "x86_64" and sys.platform == "linux"

CALLS = {
    1: "write", 18: "pwrite64", 20: "writev", 40: "sendfile", 44: "sendto", 46: "sendmsg",
    58: "vfork", 73: "flock", 74: "fsync", 75: "fdatasync", 76: "truncate", 77: "ftruncate", 82: "rename", 83: "mkdir",
    84: "rmdir", 86: "link", 87: "unlink", 88: "symlink", 90: "chmod", 91: "fchmod",
    92: "chown", 93: "fchown", 94: "lchown", 133: "mknod", 155: "pivot_root", 165: "mount",
    166: "umount2", 188: "setxattr", 189: "lsetxattr", 190: "fsetxattr", 257: "openat",
    258: "mkdirat", 259: "mknodat", 260: "fchownat", 263: "unlinkat", 264: "renameat",
    265: "linkat", 266: "symlinkat", 268: "fchmodat", 272: "unshare", 280: "utimensat",
    285: "fallocate", 296: "pwritev", 306: "syncfs", 308: "setns", 316: "renameat2",
    326: "copy_file_range", 429: "move_mount", 431: "fsconfig", 432: "fsmount",
}  # fmt: skip
"""The system calls before which a process may be killed; ``openat`` if it may make or empty a file."""

_OPENAT = 257
_CREATES = os.O_CREAT | os.O_TRUNC

_ALLOW, _TRACE = 0x7FFF0000, 0x7FF00000
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_SET_SECCOMP, _FILTER = 22, 2

_SEIZE, _CONTINUE, _EVENT_MESSAGE, _SET_OPTIONS = 0x4206, 7, 0x4201, 0x4200
_REGISTERS = 12
_FOLLOW = 0x2 | 0x4 | 0x8 | 0x80  # fork, vfork, clone, seccomp
_SECCOMP_EVENT, _STOP_EVENT = 7, 128
_ALL = 0x40000000  # __WALL: threads too

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


class Ending(NamedTuple):
    """How the work ended.

    ``calls`` were begun; ``killed`` is the name of the call that it was killed before,
    empty if it came to its end; then ``error`` is what it raised, if anything.
    """

    calls: int
    killed: str
    error: str


def run_until(number: int, work: Callable[[], object]) -> Ending:
    """Run `work` in a fork of this process and kill it before its call `number` (from 1).

    With a `number` of 0, or one larger than the count of its calls, it runs to its end.
    The calling process must have one thread only.  Returns once it is dead, while
    what it started may live.
    """
    reading, writing = os.pipe()
    tracer = os.fork()
    if tracer == 0:
        try:
            os.close(reading)
            with open(writing, "wb", closefd=True) as verdict:
                _Tracer(number, lambda ending: _tell(verdict, ending)).run(work)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as verdict:
        text = verdict.readline().decode()
    if not text:
        raise AssertionError("the tracer failed")
    _reap_later(tracer)
    calls, killed, error = text.rstrip("\n").split("\t")
    return Ending(int(calls), killed, error.replace("\\n", "\n"))


def _tell(verdict: object, ending: Ending) -> None:
    error = ending.error.replace("\t", " ").replace("\n", "\\n")
    verdict.write(f"{ending.calls}\t{ending.killed}\t{error}\n".encode())  # type: ignore[attr-defined]
    verdict.flush()  # type: ignore[attr-defined]


def is_over(patience: float) -> bool:
    """Whether all that the work of earlier calls started has ended, within `patience` seconds."""
    end = time.monotonic() + patience
    while _tracers:
        _reap()
        if _tracers and time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True


_tracers: list[int] = []


def _reap_later(pid: int) -> None:
    """A tracer goes on while something lives that its work started."""
    _tracers.append(pid)
    _reap()


def _reap() -> None:
    for each in list(_tracers):
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(each, os.WNOHANG)[0] == 0:
                continue
        _tracers.remove(each)


class _Tracer:
    def __init__(self, number: int, tell: Callable[[Ending], None]) -> None:
        self._number = number
        self._tell = tell
        self._count = 0
        self._killed = ""
        self._main = 0
        self._ours: dict[int, bool] = {}

    def run(self, work: Callable[[], object]) -> None:
        """Fork, follow to the end of all that is traced; tell once the work itself is over."""
        told, error = os.pipe()
        gate, opener = os.pipe()
        self._main = os.fork()
        if self._main == 0:
            os.read(gate, 1)
            _work(work, error)
        os.close(error)
        self._ours[self._main] = True
        _ptrace(_SEIZE, self._main, _FOLLOW)
        os.write(opener, b"x")
        with open(told, "rb") as said:
            self._follow(said.read)

    def _follow(self, said: Callable[[], bytes]) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, _ALL)
            except ChildProcessError:
                return
            if not os.WIFSTOPPED(status):
                self._ours.pop(pid, None)
                if pid == self._main:
                    # An exit without a word, and a foreign signal, are failures too.
                    text = "" if self._killed else said().decode()
                    if not self._killed and not text:
                        text = f"it ended with {os.waitstatus_to_exitcode(status)}"
                    self._tell(Ending(self._count, self._killed, text.removeprefix("ok")))
                continue
            event, number = status >> 16, os.WSTOPSIG(status)
            if event == _SECCOMP_EVENT:
                self._arrived(pid)
            _continue(pid, 0 if event else number)

    def _arrived(self, pid: int) -> None:
        ours = self._ours.get(pid)
        if ours is None:
            ours = self._ours[pid] = Path(f"/proc/{self._main}/task/{pid}").exists()
        if not ours or self._killed:
            return
        self._count += 1
        if self._count == self._number:
            self._killed = _call(pid)
            os.kill(self._main, signal.SIGKILL)


def _work(work: Callable[[], object], report: int) -> None:
    """In the child: stop before each call from here on, and end without any cleaning up."""
    text = "ok"
    try:
        _install_filter()
        work()
    except BaseException:
        text = traceback.format_exc()
    try:
        os.write(report, text.encode()[-4000:])
    finally:
        os._exit(0)


def _install_filter() -> None:
    """Stop for the tracer before each of the calls.  Spec: seccomp(2), SECCOMP_RET_TRACE."""
    others = [number for number in CALLS if number != _OPENAT]
    rows = [(_LOAD, 0, 0, 0)]
    # Jumps count the instructions to leave out; behind the comparisons come: allow, trace.
    for at, number in enumerate(others):
        rows.append((_EQUAL, len(others) - at + 3, 0, number))
    rows += [
        (_EQUAL, 0, 2, _OPENAT),
        (_LOAD, 0, 0, 16 + 2 * 8),  # the third argument: the flags
        (_ANY_BIT, 1, 0, _CREATES),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _TRACE),
    ]
    code = b"".join(struct.pack("=HBBI", *row) for row in rows)
    program = ctypes.create_string_buffer(code)
    header = struct.pack("@HxxxxxxQ", len(rows), ctypes.addressof(program))
    if _libc.prctl(_SET_SECCOMP, _FILTER, ctypes.c_char_p(header)) != 0:
        raise OSError(ctypes.get_errno(), "cannot install the filter")


def _call(pid: int) -> str:
    """The name of the call that a stopped thread is about to make."""
    registers = (ctypes.c_ulonglong * 27)()
    _libc.ptrace(_REGISTERS, pid, None, ctypes.cast(registers, ctypes.c_void_p))
    # Spec: struct user_regs_struct of x86-64: orig_rax is the sixteenth.
    return CALLS.get(registers[15], str(registers[15]))


def _continue(pid: int, number: int) -> None:
    # It may have been killed meanwhile.
    _libc.ptrace(_CONTINUE, pid, None, number or None)


def _ptrace(request: int, pid: int, data: int) -> None:
    if _libc.ptrace(request, pid, None, data) != 0:
        raise OSError(ctypes.get_errno(), "cannot trace")
