"""A build that copies thousands of files in two processes, either of which is killed at random."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from support.commands import COMMAND, environment
from support.crash_store import Place
from support.crasher import Crasher

pytestmark = [pytest.mark.root, pytest.mark.e2e]

SEED = int(os.environ.get("CORTEN_CRASH_SEED", "3"))
KILLS = int(os.environ.get("CORTEN_CRASH_KILLS", "60")) // 10
_ENDING = 5.0
"""Seconds within which a process ends whose parent is gone."""


def start(place: Place) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "build", "-t", "many:1", str(place.folder / "many")],
        env=environment(place.root),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def children(pid: int) -> list[int]:
    """The processes that a process has started, while they live."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            found += [int(word) for word in (task / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue  # a thread has ended
    return found


def is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2]
    except FileNotFoundError:
        return False
    return status[0] != "Z"


def stopped_children(process: subprocess.Popen[str]) -> list[int]:
    """Stop a process, so that it starts no more, and say what it has started."""
    process.send_signal(signal.SIGSTOP)
    while process.poll() is None:
        state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2][0]
        if state in "Tt":
            return children(process.pid)
        time.sleep(0.001)
    return []


@pytest.mark.timeout(900)
def test_a_killed_build_leaves_neither_the_process_that_reads_nor_a_file(
    crashers: list[Crasher], registry: str
) -> None:
    place = crashers[0].place(registry, "killed")
    chance = random.Random(f"{SEED} parent")
    with_child = 0
    crashers[0].ask("copy", "build_many", root=place.root)
    begun = time.monotonic()
    with start(place) as process:
        assert process.wait(120) == 0, process.stderr
    seconds = time.monotonic() - begun
    for number in range(KILLS):
        crashers[0].ask("copy", "build_many", root=place.root)
        with start(place) as process:
            time.sleep(chance.uniform(0.2, 0.95) * seconds)
            left = stopped_children(process)
            with_child += bool(left)
            process.kill()
        end = time.monotonic() + _ENDING
        while any(map(is_alive, left)) and time.monotonic() < end:
            time.sleep(0.01)
        assert not any(map(is_alive, left)), f"seed {SEED}, kill {number}: it lives on"
        fault = crashers[0].ask("check", "build_many", number=number, root=place.root)
        assert not fault, f"seed {SEED}, kill {number}:\n{fault}"
    assert with_child >= KILLS // 3, "the build was seldom killed while it had a second process"


@pytest.mark.timeout(900)
def test_a_build_whose_reading_process_is_killed_says_so_and_leaves_nothing(
    crashers: list[Crasher], registry: str
) -> None:
    place = crashers[0].place(registry, "killed")
    chance = random.Random(f"{SEED} child")
    said: list[str] = []
    for number in range(20):
        if number >= KILLS // 2 and said:
            break
        crashers[0].ask("copy", "build_many", root=place.root)
        with start(place) as process:
            while process.poll() is None and not (reading := children(process.pid)):
                time.sleep(0.001)
            assert reading, "the build had no second process"
            with suppress(ProcessLookupError):  # it may be over
                second = os.pidfd_open(reading[0])
                try:
                    time.sleep(chance.uniform(0.02, 0.3))
                    signal.pidfd_send_signal(second, signal.SIGKILL)
                finally:
                    os.close(second)
            assert process.stderr is not None
            text = process.stderr.read()
        if process.returncode:
            said.append(text)
            assert "the process that reads what is copied ended (signal 9)" in text
            assert "build again" in text
        fault = crashers[0].ask("check", "build_many", number=number, root=place.root)
        assert not fault, f"seed {SEED}, kill {number}:\n{fault}"
    assert said, "each second process had ended, or not begun, when it was killed"
