"""Real commands, killed with SIGKILL at random moments, alone and two at once.

``CORTEN_CRASH_SEED`` and ``CORTEN_CRASH_KILLS`` choose others, and more of them.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.commands import COMMAND, environment
from support.crash_store import Place
from support.crasher import Crasher

pytestmark = [pytest.mark.root, pytest.mark.e2e]

SEED = int(os.environ.get("CORTEN_CRASH_SEED", "3"))
KILLS = int(os.environ.get("CORTEN_CRASH_KILLS", "60"))
ALONE = [
    ("pull",),
    ("build_copy",),
    ("build_run",),
    ("push",),
    ("load",),
    ("rmi",),
    ("copy",),
    ("gc",),
    ("prune",),
    ("run",),
]
PAIRS = [
    ("pull", "gc"),
    ("build_copy", "rmi"),
    ("load", "pull"),
    ("build_run", "gc"),
    ("run", "rmi"),
    ("push", "gc"),
]


def arguments(operation: str, place: Place) -> list[str]:
    """The command line of an operation."""
    context = place.folder
    return {
        "pull": ["pull", place.thing],
        "build_copy": ["build", "-t", "copy:1", str(context / "copy")],
        "build_run": ["build", "-t", "run:1", str(context / "run")],
        "load": ["load", "-i", str(context / "archive.tar")],
        "rmi": ["rmi", "victim:1"],
        "gc": ["gc", "--grace", "0"],
        "push": ["push", place.pushed],
        "copy": ["copy", place.pushed, f"oci:{place.layout}:app"],
        "prune": ["system", "prune", "--force"],
        "run": ["run", "--rm", "--network", "none", "box:1", "sh", "-c", "echo hello"],
    }[operation]


def start(operation: str, place: Place) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, *arguments(operation, place)],
        env=environment(place.root),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


class Killing:
    """Kills commands on copies of one server's stock; knows how long each command takes."""

    def __init__(self, crasher: Crasher, registry: str) -> None:
        self._crasher = crasher
        self._place = crasher.place(registry, "killed")
        self._seconds: dict[str, float] = {}
        self.landed = 0
        """How many kills met a command that was still there."""

    def kill(self, number: int, operations: tuple[str, ...]) -> str:
        """Run them at once and kill one or all of them; what is wrong afterwards."""
        chance = random.Random(f"{SEED} {number}")
        for operation in operations:
            if operation not in self._seconds:
                self._measure(operation)
        self._crasher.ask("copy", *operations, root=self._place.root)
        doomed = operations if chance.random() < 0.5 else operations[:1]
        pause = chance.uniform(0.03, max(self._seconds[name] for name in doomed))
        running = {name: start(name, self._place) for name in operations}
        time.sleep(pause)
        wrong = ""
        for name, process in running.items():
            if name in doomed:
                self.landed += process.poll() is None
                process.kill()
            _, said = process.communicate(timeout=60)
            if name not in doomed and process.returncode != 0:
                wrong += f"{name}, which was not killed: {said.decode()}\n"
        wrong += self._crasher.ask("check", *operations, number=number, root=self._place.root)
        return f"kill {number}, {operations} after {pause:.3f} s:\n{wrong}" if wrong else ""

    def _measure(self, operation: str) -> None:
        self._crasher.ask("copy", operation, root=self._place.root)
        begun = time.monotonic()
        _, said = start(operation, self._place).communicate(timeout=60)
        self._seconds[operation] = time.monotonic() - begun
        assert not said or b"orten:" not in said, said


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("plans", "share"), [(ALONE, 2 / 3), (PAIRS, 1 / 3)], ids=["one", "two"])
def test_commands_killed_at_random_leave_a_store_that_just_goes_on(
    crashers: list[Crasher], registry: str, plans: list[tuple[str, ...]], share: float
) -> None:
    kills = round(KILLS * share)
    print(f"seed {SEED}, {kills} kills")
    killing = [Killing(crasher, registry) for crasher in crashers]

    def work(worker: int) -> list[str]:
        numbers = range(worker, kills, len(killing))
        found = [killing[worker].kill(n, plans[n // 2 % len(plans)]) for n in numbers]
        return [text for text in found if text]

    with ThreadPoolExecutor(len(killing)) as pool:
        wrong = [text for texts in pool.map(work, range(len(killing))) for text in texts]
    assert not wrong, f"seed {SEED}, {len(wrong)} of {kills} kills:\n" + "\n".join(wrong[:5])
    assert sum(each.landed for each in killing) > kills // 3
