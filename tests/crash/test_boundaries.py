"""`kill -9` before each system call of a command that changes something.

After each: everything that is visible is whole, the next command (in turns the same again, or
gc) works without any repair, and after gc there is what a store has that never crashed.
At least 1,000 such kills are made in every run of these tests (the sum of `FEWEST`).
``CORTEN_CRASH=all`` takes every point of every command (about ten minutes), not a share.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.crash_operations import OPERATIONS
from support.crasher import Crasher

pytestmark = [pytest.mark.root, pytest.mark.e2e]

EVERY = {
    "pull": 1,
    "load": 1,
    "rmi": 1,
    "gc": 1,
    "push": 2,
    "copy": 3,
    "save": 2,
    "prune": 2,
    "repair": 3,
    "rebuild": 4,
    "build_copy": 2,
    "build_run": 4,
    "run": 3,
}
"""Of so many points of a command, one is taken; those that start containers take longest."""
FEWEST = {
    "pull": 140,
    "load": 130,
    "rmi": 110,
    "gc": 65,
    "push": 75,
    "copy": 50,
    "save": 22,
    "prune": 45,
    "repair": 55,
    "rebuild": 60,
    "build_copy": 150,
    "build_run": 85,
    "run": 40,
}
"""How many kills each command has at least.  Together: 1,027."""


def test_a_run_makes_a_thousand_kills_or_more_and_leaves_out_no_command() -> None:
    # A copy of thousands of files takes too long for it: see test_large_copy.py.
    assert FEWEST.keys() == EVERY.keys() == OPERATIONS.keys() - {"build_many"}
    assert sum(FEWEST.values()) >= 1000


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("operation", EVERY)
def test_a_kill_before_any_system_call_leaves_a_store_that_just_goes_on(
    crashers: list[Crasher], operation: str
) -> None:
    count = crashers[0].ask("count", operation)
    assert isinstance(count, int), count
    step = 1 if os.environ.get("CORTEN_CRASH") == "all" else EVERY[operation]
    # One place further on each time, so that a loop's calls are all met, odd and even ones.
    points = [n for n in range(1, count + 1) if step == 1 or n % step == n // step % step]
    killed: list[int] = []

    def share(worker: int) -> list[str]:
        wrong = []
        for number in points[worker :: len(crashers)]:
            call, fault = crashers[worker].ask("point", operation, number=number)
            if call:
                killed.append(number)
            if fault:
                wrong.append(f"killed before call {number} ({call or 'its end'}):\n{fault}")
        return wrong

    with ThreadPoolExecutor(len(crashers)) as pool:
        wrong = [text for texts in pool.map(share, range(len(crashers))) for text in texts]
    assert not wrong, f"{len(wrong)} of {len(points)} points:\n" + "\n".join(wrong[:5])
    # Threads make a few calls more or less from run to run: what counts is who was killed.
    assert len(killed) >= FEWEST[operation]
    print(f"{len(killed)} kills of {count} calls")
