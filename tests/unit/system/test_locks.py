from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from corten.system.locks import locked, try_lock

_HOLD = """
import sys
from pathlib import Path
from corten.system.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def free(file: Path, *, shared: bool = False) -> bool:
    """Whether the lock can be had now; it is let go of at once."""
    with file.open("r+b") as opened:
        return try_lock(opened.fileno(), shared=shared)


def test_an_exclusive_lock_excludes(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with locked(file):
        assert not free(file)
        assert not free(file, shared=True)
    assert free(file)


def test_shared_locks_go_together_but_not_with_an_exclusive_one(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with locked(file, shared=True):
        assert free(file, shared=True)
        assert not free(file)


def test_waiting_ends_when_the_other_lets_go(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    order: list[str] = []

    def other() -> None:
        with locked(file):
            order.append("second")

    with locked(file):
        thread = threading.Thread(target=other)
        thread.start()
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert not free(file)
        process.kill()
    assert free(file)
