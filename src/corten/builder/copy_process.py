"""The program that copies a tree in a process of its own.

It reads a `Request` from its standard input and writes `Report`s to its standard output:
what it has put into the memory that both processes share, and how it ended.  Whose
program it is, and why: :mod:`corten.builder.copy_apart`.
"""

from __future__ import annotations

import gc
import os
import signal
import struct
from collections.abc import Iterable

import msgspec

from corten import __version__
from corten.builder.copying import Sources, write_layer
from corten.builder.graph import Copy
from corten.builder.hashes import Learnt
from corten.builder.tree import Tree
from corten.dockerfile.ignore import Ignore
from corten.errors import CortenError
from corten.events.job import Job

SLOT = 4 * 1024 * 1024
"""The most bytes of a piece, and where each begins in the shared memory."""
SLOTS = 6
CODE = f"{__version__} {__file__}"
"""Which program this is: both processes must run the same one."""
_REQUESTS, _REPORTS = 0, 1

_length = struct.Struct("<I")


class Request(msgspec.Struct, frozen=True, array_like=True):
    """What to copy.  ``tree``, ``below`` (or -1) and ``memory`` are descriptors."""

    op: Copy
    keep_owner: bool
    tree: int
    label: str
    ignore: tuple[str, ...]
    below: int
    below_label: str
    memory: int


class Ready(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The process has begun to work; ``code`` is its `CODE`."""

    code: str = ""


class Piece(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The next `size` bytes of the tar lie in the slot `slot`, which is to be given back."""

    slot: int
    size: int


class Digests(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Digests of files, as `corten.builder.hashes.Hashes.keep` takes them."""

    learnt: list[Learnt]
    began: int


class Ended(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """All is done: see `corten.builder.copying.Copied`."""

    digest: str
    newest: int
    entries: int


class Failed(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """An error of one of our families.  There may be names in it that are not UTF-8."""

    family: str
    message: bytes
    hint: bytes


class Broken(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Any other error: ``number`` and ``file`` are those of the operating system's, else empty."""

    number: int
    message: bytes
    file: bytes
    trace: bytes


Report = Ready | Piece | Digests | Ended | Failed | Broken

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Report).decode


def send(fd: int, message: msgspec.Struct) -> None:
    """Write one message to a pipe.  Raises: OSError."""
    body = _encode(message)
    rest = memoryview(_length.pack(len(body)) + body)
    while rest:
        rest = rest[os.write(fd, rest) :]


def receive(fd: int) -> Report | None:
    """The next report from a pipe; None: the other side has ended.  Raises: OSError."""
    body = _message(fd)
    return None if body is None else _decode(body)


def _message(fd: int) -> bytes | None:
    head = _exactly(fd, _length.size)
    return None if head is None else _exactly(fd, _length.unpack(head)[0])


def _exactly(fd: int, size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        piece = os.read(fd, size - len(data))
        if not piece:
            return None
        data += piece
    return data


class _Output:
    """Where the copy writes: pieces into the shared memory, digests beside them."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._free = list(range(SLOTS))

    def write(self, data: bytes) -> None:
        """The next bytes of the tar; waits while all slots are full."""
        view = memoryview(data)
        for begin in range(0, len(view), SLOT):
            part = view[begin : begin + SLOT]
            slot = self._free.pop() if self._free else self._wait()
            done = 0
            while done < len(part):
                done += os.pwrite(self._memory, part[done:], slot * SLOT + done)
            send(_REPORTS, Piece(slot, len(part)))

    def _wait(self) -> int:
        given = os.read(_REQUESTS, 1)
        if not given:
            raise BrokenPipeError
        return given[0]

    def find(self, path: str, state: os.stat_result) -> bytes | None:
        """Nothing is known: what is written is read."""
        return None

    def keep(self, learnt: Iterable[Learnt], began: int) -> None:
        """Send digests to who remembers them."""
        send(_REPORTS, Digests(list(learnt), began))


def main() -> int:
    """Do what the request says."""
    # They come to a terminal's or service's processes together: whoever asked us decides, and
    # ends us.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    gc.disable()  # nothing here makes cycles, and there is much to search
    asked = _message(_REQUESTS)
    if asked is None:
        return 1
    request = msgspec.msgpack.decode(asked, type=Request)
    try:
        send(_REPORTS, Ready(CODE))
        send(_REPORTS, _copy(request, _Output(request.memory)))
    except BrokenPipeError:
        return 1  # nobody waits for it any more
    return 0


def _copy(request: Request, output: _Output) -> Ended | Failed | Broken:
    tree = Tree(request.tree, Ignore(request.ignore), request.label)
    below = Tree(request.below, None, request.below_label) if request.below >= 0 else None
    hashes = None if request.keep_owner else output
    sources = Sources(tree, request.keep_owner, hashes, None)
    try:
        return Ended(*write_layer(request.op, sources, output.write, below, Job()))
    except CortenError as error:
        family = next(each for each in type(error).__mro__ if each.__module__ == "corten.errors")
        return Failed(family.__name__, os.fsencode(error.message), os.fsencode(error.hint))
    except BrokenPipeError:
        raise
    except Exception as error:
        return broken(error)


def broken(error: Exception) -> Broken:
    """What is told of an error that is none of ours."""
    import traceback

    trace = os.fsencode("".join(traceback.format_exception(error)))
    if isinstance(error, OSError) and error.errno:
        file = error.filename if isinstance(error.filename, str | bytes) else ""
        return Broken(error.errno, os.fsencode(error.strerror or ""), os.fsencode(file), trace)
    return Broken(0, os.fsencode(f"{type(error).__name__}: {error}"), b"", trace)
