"""Talking to a running container: conmon's attach socket, terminals, signals.

The socket is of type SEQPACKET.  What we send is the command's input (and a
shutdown its end); what we receive are packets whose first byte is 2 (output) or
3 (error output).  Terminal sizes go, as text, into the pipe ``ctl``.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from corten.errors import Unavailable

FORWARDED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
DETACH_KEYS = b"\x10\x11"
"""Ctrl-P Ctrl-Q, typed on a terminal: leave the container running."""

_PACKET = 65536
_INPUT = 8192


class Streams(NamedTuple):
    """Descriptors of this side.  ``stdin`` -1: the command gets no input from here."""

    stdin: int = 0
    stdout: int = 1
    stderr: int = 2


class Attachment:
    """A connection to a container's streams.  A context manager."""

    def __init__(self, directory: Path) -> None:
        """Connect to the container with this directory.  Raises: Unavailable."""
        self._directory = directory
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        folder = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # The way round a socket's path limit of 107 bytes.
            self._socket.connect(f"/proc/self/fd/{folder}/attach")
        except OSError as error:
            self._socket.close()
            reason = os.strerror(error.errno or 0)
            raise Unavailable(
                f"cannot attach to container {directory.name[:12]}: {reason}"
            ) from None
        finally:
            os.close(folder)

    def close(self) -> None:
        """Detach."""
        self._socket.close()

    def __enter__(self) -> Attachment:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def resize(self, rows: int, columns: int) -> None:
        """Tell the container's terminal its size; nothing to do if it ended."""
        with contextlib.suppress(OSError):
            fd = os.open(self._directory / "ctl", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.write(fd, f"1 {rows} {columns}\n".encode())
            finally:
                os.close(fd)

    def relay(self, streams: Streams, *, tty: bool = False) -> bool:
        """Move bytes both ways until the container's output ends.

        With `tty` the terminal at ``streams.stdin`` is put in raw mode meanwhile and its size
        followed.  Returns False if the user typed the detach keys or that terminal hung up.

        Raises: BrokenPipeError: nobody reads our output any more (head(1) has enough).
        """
        keys = _DetachKeys() if tty else None
        with self._terminal(streams.stdin) if tty else contextlib.nullcontext():
            poll = select.poll()
            poll.register(self._socket, select.POLLIN)
            if streams.stdin >= 0:
                poll.register(streams.stdin, select.POLLIN)
            while True:
                for fd, _ in poll.poll():
                    if fd == self._socket.fileno():
                        if not self._output(streams):
                            return True
                    elif not self._input(fd, poll, keys):
                        return False

    def _output(self, streams: Streams) -> bool:
        try:
            packet = self._socket.recv(_PACKET)
        except ConnectionResetError:
            return False
        if not packet:
            return False
        _write_all(streams.stderr if packet[0] == 3 else streams.stdout, memoryview(packet)[1:])
        return True

    def _input(self, fd: int, poll: select.poll, keys: _DetachKeys | None) -> bool:
        """Pass on input; False: the user detached."""
        try:
            data = os.read(fd, _INPUT)
        except OSError:
            data = b""  # A terminal that hung up.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, OSError):
            if not data:
                if keys is not None:
                    return False
                poll.unregister(fd)
                self._socket.shutdown(socket.SHUT_WR)
            elif keys is None:
                self._socket.sendall(data)
            else:
                passed = keys.feed(data)
                if passed:
                    self._socket.sendall(passed)
                return not keys.detached
        return True

    @contextlib.contextmanager
    def _terminal(self, fd: int) -> Iterator[None]:
        if fd < 0 or not os.isatty(fd):
            yield
            return
        import termios
        import tty

        before = termios.tcgetattr(fd)

        def resize(*_: object) -> None:
            self.resize(*window_size(fd))

        # What was typed ahead is kept.
        tty.setraw(fd, termios.TCSADRAIN)
        try:
            resize()
            with handling({signal.SIGWINCH: resize}):
                yield
        finally:
            # It may have hung up.
            with contextlib.suppress(termios.error):
                termios.tcsetattr(fd, termios.TCSADRAIN, before)


class _DetachKeys:
    """Finds the detach keys in what is typed."""

    def __init__(self) -> None:
        self._held = b""
        self.detached = False

    def feed(self, data: bytes) -> bytes:
        """What of `data` goes to the container; the first key is held until the next."""
        data = self._held + data
        self._held = b""
        before, found, _ = data.partition(DETACH_KEYS)
        if found:
            self.detached = True
            return before
        if data.endswith(DETACH_KEYS[:1]):
            self._held = DETACH_KEYS[:1]
            return data[:-1]
        return data


@contextlib.contextmanager
def handling(handlers: dict[signal.Signals, Callable[..., object]]) -> Iterator[None]:
    """Handle signals within the block; only a process's main thread can, elsewhere nothing is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def forwarding(send: Callable[[int], object]) -> contextlib.AbstractContextManager[None]:
    """Within the block, signals to this process are passed to `send` instead."""

    def handler(number: int, _: FrameType | None) -> None:
        send(number)

    return handling(dict.fromkeys(FORWARDED, handler))


def window_size(fd: int) -> tuple[int, int]:
    """Rows and columns of the terminal `fd`; 24 and 80 if it is none."""
    import termios

    try:
        rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)))
    except OSError:
        return 24, 80
    return (rows, columns) if rows and columns else (24, 80)


def _write_all(fd: int, data: memoryview) -> None:
    while data:
        data = data[os.write(fd, data) :]
