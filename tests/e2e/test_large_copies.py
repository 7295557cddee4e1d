"""COPY of a large tree by the real command: in two processes, which are one for who uses it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from corten.builder.copy_apart import MANY
from support.commands import COMMAND, corten, environment

pytestmark = [
    pytest.mark.root,
    pytest.mark.e2e,
    pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core: one process"),
]


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More names than one process would copy, and a file that takes a while."""
    made = tmp_path_factory.mktemp("large")
    for folder in range(10):
        (made / f"files/{folder}").mkdir(parents=True)
        for number in range(MANY // 10 + 1):
            (made / f"files/{folder}/{number}").write_bytes(b"%d" % number)
    with (made / "files/hole").open("wb") as file:
        file.truncate(64 << 20)
    (made / "Dockerfile").write_text("FROM scratch\nCOPY files /srv\n")
    return made


def children(pid: int) -> list[int]:
    """The processes of all threads of a process; none if it has ended."""
    try:
        return [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:
        return []


def is_copying(pid: int) -> bool:
    try:
        return b"copy_process" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def begun(context: Path, root: Path) -> tuple[subprocess.Popen[str], int]:
    """A build whose second process was stopped in the middle, and that process."""
    build = subprocess.Popen(
        [*COMMAND, "build", "-t", "large", str(context)],
        env=environment(root),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + 30
    # Not before it runs its program: until then its parent waits for it, deaf to signals.
    while not (found := [child for child in children(build.pid) if is_copying(child)]):
        assert build.poll() is None
        assert time.monotonic() < end, "no second process began"
    os.kill(found[0], signal.SIGSTOP)
    return build, found[0]


def test_one_core_and_two_make_the_same_image(context: Path, tmp_path: Path) -> None:
    cores = os.sched_getaffinity(0)
    made = []
    for name, used in (("one", {min(cores)}), ("two", cores)):
        os.sched_setaffinity(0, used)
        try:
            made.append(corten("build", "-q", str(context), root=tmp_path / name).stdout)
        finally:
            os.sched_setaffinity(0, cores)
    assert made[0] == made[1]
    assert made[0].startswith("sha256:")


def test_what_two_processes_read_is_known_to_the_next_build(context: Path, tmp_path: Path) -> None:
    assert corten("build", str(context), root=tmp_path).returncode == 0
    again = corten("build", "--progress=plain", str(context), root=tmp_path)
    assert "CACHED" in again.stdout + again.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_leaves_nothing(
    context: Path, tmp_path: Path, number: signal.Signals
) -> None:
    build, other = begun(context, tmp_path)
    with build:
        os.killpg(build.pid, number)  # as a terminal does it: to both
        _, said = build.communicate(timeout=30)
    assert build.returncode == 130
    assert "Traceback" not in said
    assert not Path(f"/proc/{other}").exists()
    assert not list(tmp_path.glob("content/ingest/*"))


def test_a_build_whose_second_process_is_killed_says_so_and_leaves_nothing(
    context: Path, tmp_path: Path
) -> None:
    build, other = begun(context, tmp_path)
    with build:
        os.kill(other, signal.SIGKILL)
        _, said = build.communicate(timeout=30)
    # If it had not told of its beginning, the build goes on without it.
    assert build.returncode == 0 or (
        "Dockerfile:2: the process that reads what is copied ended (signal 9)" in said
    )
    assert not list(tmp_path.glob("content/ingest/*"))
    assert corten("build", str(context), root=tmp_path).returncode == 0


def test_a_killed_build_takes_its_second_process_along(context: Path, tmp_path: Path) -> None:
    build, other = begun(context, tmp_path)
    with build:
        build.kill()
    os.kill(other, signal.SIGCONT)
    end = time.monotonic() + 30
    while Path(f"/proc/{other}").exists():
        assert time.monotonic() < end, "the second process is still there"
        time.sleep(0.01)
