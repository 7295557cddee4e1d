"""Attaching, against a socket that speaks as conmon does."""

import contextlib
import os
import pty
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.errors import Unavailable
from corten.runtime.attach import Attachment, Streams, forwarding, window_size


class Monitor:
    """The other side: a socket ``attach`` and a pipe ``ctl`` in the container's directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        here = os.open(directory, os.O_PATH)
        self.listener.bind(f"/proc/self/fd/{here}/attach")
        os.close(here)
        self.listener.listen()
        os.mkfifo(directory / "ctl")

    def accept(self) -> socket.socket:
        return self.listener.accept()[0]


@pytest.fixture
def monitor(tmp_path: Path) -> Iterator[Monitor]:
    made = Monitor(tmp_path / ("long" * 30) / "c")
    yield made
    made.listener.close()


def relay(attachment: Attachment, tty: bool = False, stdin: int = -1) -> tuple[bool, bytes, bytes]:
    """What came on stdout and stderr, through pipes that are large enough."""
    out, err = os.pipe(), os.pipe()
    try:
        ended = attachment.relay(Streams(stdin, out[1], err[1]), tty=tty)
    finally:
        os.close(out[1])
        os.close(err[1])
    with open(out[0], "rb") as one, open(err[0], "rb") as two:
        return ended, one.read(), two.read()


def test_a_container_without_a_monitor_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot attach"):
        Attachment(tmp_path)


def test_output_goes_to_its_stream_until_the_end(monitor: Monitor) -> None:
    with Attachment(monitor.directory) as attachment, monitor.accept() as peer:
        for packet in (b"\x02out", b"\x03err", b"\x02 more"):
            peer.send(packet)
        peer.close()
        assert relay(attachment) == (True, b"out more", b"err")


def test_input_is_passed_and_its_end_too(monitor: Monitor) -> None:
    source, feed = os.pipe()
    os.write(feed, b"typed")
    os.close(feed)
    received: list[bytes] = []

    def container(peer: socket.socket) -> None:
        with peer:
            while data := peer.recv(1000):
                received.append(data)
            peer.send(b"\x02bye")

    with Attachment(monitor.directory) as attachment:
        thread = threading.Thread(target=container, args=(monitor.accept(),))
        thread.start()
        assert relay(attachment, stdin=source) == (True, b"bye", b"")
        thread.join()
    os.close(source)
    assert received == [b"typed"]


def test_a_terminal_that_hangs_up_leaves_the_container_running(monitor: Monitor) -> None:
    ours, theirs = pty.openpty()
    with Attachment(monitor.directory) as attachment, monitor.accept() as peer:
        ended: list[bool] = []

        def terminal() -> None:
            ended.append(attachment.relay(Streams(theirs, theirs, theirs), tty=True))

        thread = threading.Thread(target=terminal)
        sizes = os.open(monitor.directory / "ctl", os.O_RDONLY | os.O_NONBLOCK)
        thread.start()
        while not read_some(sizes):
            pass
        os.write(ours, b"x")
        peer.settimeout(5)
        assert peer.recv(10) == b"x"
        os.close(ours)
        thread.join(5)
        os.close(sizes)
    os.close(theirs)
    assert ended == [False]


def test_a_reader_that_went_away_ends_the_relay(monitor: Monitor) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with Attachment(monitor.directory) as attachment, monitor.accept() as peer:
        peer.send(b"\x02x")
        with pytest.raises(BrokenPipeError):
            attachment.relay(Streams(-1, writing, writing))
    os.close(writing)


@pytest.mark.parametrize(
    ("typed", "passed"),
    [
        ([b"abc\x10\x11def"], b"abc"),
        ([b"a", b"\x10", b"\x11"], b"a"),
        ([b"\x10x", b"\x10", b"\x10\x11"], b"\x10x\x10"),
    ],
)
def test_the_detach_keys_leave_the_container_running(
    monitor: Monitor, typed: list[bytes], passed: bytes
) -> None:
    ours, theirs = pty.openpty()
    received: list[bytes] = []
    with Attachment(monitor.directory) as attachment, monitor.accept() as peer:

        def keyboard() -> None:
            # Raw mode is set by the relay; each piece waits until the last was read.
            for piece in typed:
                os.write(ours, piece)
                peer.settimeout(0.3)
                with contextlib.suppress(TimeoutError):
                    received.append(peer.recv(100))

        sizes = os.open(monitor.directory / "ctl", os.O_RDONLY | os.O_NONBLOCK)
        ended: list[bool] = []

        def terminal() -> None:
            ended.append(attachment.relay(Streams(theirs, theirs, theirs), tty=True))

        thread = threading.Thread(target=terminal)
        thread.start()
        # The size is told once raw mode is on.
        while not read_some(sizes):
            pass
        keyboard()
        thread.join(5)
        os.close(sizes)
    os.close(ours)
    os.close(theirs)
    assert ended == [False]
    assert b"".join(received) == passed


def read_some(fd: int) -> bytes:
    try:
        return os.read(fd, 100)
    except BlockingIOError:
        return b""


def test_sizes_are_told_as_lines_and_nobody_listening_is_no_error(monitor: Monitor) -> None:
    with Attachment(monitor.directory) as attachment:
        attachment.resize(10, 20)
        fd = os.open(monitor.directory / "ctl", os.O_RDONLY | os.O_NONBLOCK)
        attachment.resize(33, 101)
        assert os.read(fd, 100) == b"1 33 101\n"
        os.close(fd)
        (monitor.directory / "ctl").unlink()
        attachment.resize(1, 1)


def test_what_is_no_terminal_has_the_usual_size(tmp_path: Path) -> None:
    with (tmp_path / "x").open("w") as file:
        assert window_size(file.fileno()) == (24, 80)


def test_signals_are_forwarded_within_the_block_only() -> None:
    got: list[int] = []
    before = signal.getsignal(signal.SIGUSR1)
    with forwarding(got.append):
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGHUP)
    assert sorted(got) == sorted([signal.SIGUSR1, signal.SIGHUP])
    assert signal.getsignal(signal.SIGUSR1) == before


def test_outside_of_the_main_thread_signals_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    seen: list[object] = []

    def work() -> None:
        with forwarding(lambda number: None):
            seen.append(signal.getsignal(signal.SIGUSR1))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
