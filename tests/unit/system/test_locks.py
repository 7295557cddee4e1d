from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from corten.system.locks import locked, trying

_HOLD = """
import sys
from pathlib import Path
from corten.system.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_an_exclusive_lock_excludes(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with locked(file):
        with trying(file) as got:
            assert not got
        with trying(file, shared=True) as got:
            assert not got
    with trying(file) as got:
        assert got


def test_shared_locks_go_together_but_not_with_an_exclusive_one(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with locked(file, shared=True):
        with trying(file, shared=True) as got:
            assert got
        with trying(file) as got:
            assert not got


def test_trying_lets_go_at_the_end_of_its_block(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    for _ in range(3):
        with trying(file) as got:
            assert got


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
        with trying(file) as got:
            assert not got
        process.kill()
    with trying(file) as got:
        assert got
