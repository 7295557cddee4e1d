"""A terminal for tests: pyte's screen, and commands run on a real pseudo terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence

import pyte


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds


class Screen:
    """What a terminal shows of what was written to it; a text stream."""

    encoding = "utf-8"

    def __init__(self, columns: int = 80, lines: int = 24) -> None:
        self.columns, self.lines = columns, lines
        self._screen = pyte.HistoryScreen(columns, lines, history=1000)
        self._screen.set_mode(pyte.modes.LNM)
        self._stream = pyte.Stream(self._screen)

    def write(self, text: str) -> int:
        self._stream.feed(text)
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return True

    def size(self) -> tuple[int, int]:
        return self.columns, self.lines

    def resize(self, columns: int, lines: int) -> None:
        """As a terminal that wraps its lines anew: their text moves, nothing is lost."""
        rows = self.everything()
        self.columns, self.lines = columns, lines
        self._screen = pyte.HistoryScreen(columns, lines, history=1000)
        self._screen.set_mode(pyte.modes.LNM)
        self._stream = pyte.Stream(self._screen)
        self._stream.feed("".join(f"{row}\n" for row in rows))

    @property
    def cursor_hidden(self) -> bool:
        return bool(self._screen.cursor.hidden)

    def everything(self) -> list[str]:
        """All lines, those that scrolled out first, without empty ones at the end."""
        scrolled = [
            "".join(row[column].data for column in range(self.columns)).rstrip()
            for row in self._screen.history.top
        ]
        rows = scrolled + [row.rstrip() for row in self._screen.display]
        while rows and not rows[-1]:
            rows.pop()
        return rows


class Terminal:
    """A command on a pseudo terminal of its own.  A context manager: the process ends with it."""

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        size: tuple[int, int] = (80, 24),
    ) -> None:
        self.text = b""
        self._fd, terminal = pty.openpty()
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        # setsid makes the terminal the controlling one, so that ^C becomes a signal.
        self._process = subprocess.Popen(
            ["setsid", "-c", *command], stdin=terminal, stdout=terminal, stderr=terminal, env=env
        )
        os.close(terminal)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._fd)

    def type(self, data: bytes) -> None:
        os.write(self._fd, data)

    def read_until(self, wanted: Callable[[bytes], bool], seconds: float = 30.0) -> bytes:
        """Read on until `wanted` of all that was read, or the end of the command."""
        deadline = time.monotonic() + seconds
        while not wanted(self.text):
            left = deadline - time.monotonic()
            assert left > 0, f"not within {seconds} s; so far {self.text!r}"
            if not select.select([self._fd], [], [], left)[0]:
                continue
            try:
                data = os.read(self._fd, 65536)
            except OSError:  # the other side is closed
                break
            if not data:
                break
            self.text += data
        return self.text

    def wait(self, seconds: float = 30.0) -> int:
        """Read to the end; the exit status."""
        self.read_until(lambda _: False, seconds)
        return self._process.wait(seconds)
