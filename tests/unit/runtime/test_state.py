"""The state of a container, read from processes and files."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.errors import Conflict
from corten.runtime.containers import ContainerRecord, write_json
from corten.runtime.protocols import Process
from corten.runtime.state import (
    UNKNOWN_EXIT,
    Started,
    Status,
    boot_id,
    container_state,
    forget_start,
    is_alive,
    monitor_is_alive,
    note_start,
    process_handle,
    read_exit,
    read_started,
    send_signal,
    wait_for_end,
)
from corten.system.process import process_ticks

IDENTITY = "ab" * 32
RECORD = ContainerRecord(id=IDENTITY, name="web", process=Process(("true",)))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    folder = tmp_path / IDENTITY
    (folder / "exit").mkdir(parents=True)
    return folder


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def ended(directory: Path, code: int) -> None:
    (directory / "exit" / IDENTITY).write_text(f"{code}")


def test_never_started_is_created(directory: Path) -> None:
    assert container_state(directory) == (Status.CREATED, 0, 0, 0.0, 0.0)


def test_a_living_process_is_running(directory: Path, child: subprocess.Popen[bytes]) -> None:
    note_start(directory, child.pid, os.getpid(), 1000.0)
    assert container_state(directory) == (Status.RUNNING, child.pid, 0, 1000.0, 0.0)
    started = read_started(directory)
    assert started is not None
    assert is_alive(started)
    assert monitor_is_alive(started)


def test_the_exit_file_says_how_it_ended(directory: Path, child: subprocess.Popen[bytes]) -> None:
    note_start(directory, child.pid, 0, 1000.0)
    ended(directory, 7)
    state = container_state(directory)
    assert (state.status, state.exit_code, state.pid) == (Status.EXITED, 7, 0)
    assert state.finished > 1_600_000_000


def test_an_end_that_nobody_saw_is_unknown(directory: Path, child: subprocess.Popen[bytes]) -> None:
    note_start(directory, child.pid, child.pid, 1000.0)
    child.kill()
    child.wait()
    state = container_state(directory)
    assert (state.status, state.exit_code) == (Status.EXITED, UNKNOWN_EXIT)
    started = read_started(directory)
    assert started is not None
    assert not monitor_is_alive(started)


def test_a_zombie_does_not_run(directory: Path, child: subprocess.Popen[bytes]) -> None:
    note_start(directory, child.pid, 0, 1000.0)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert container_state(directory).status is Status.EXITED


@pytest.mark.parametrize("what", ["ticks", "boot"])
def test_another_process_of_the_number_is_not_the_container(directory: Path, what: str) -> None:
    own = {"ticks": process_ticks(os.getpid()), "boot": boot_id()}
    own[what] = {"ticks": 1, "boot": "another"}[what]
    write_json(directory / "started.json", Started(os.getpid(), time=1.0, **own))  # type: ignore[arg-type]
    assert container_state(directory).status is Status.EXITED
    with pytest.raises(Conflict), process_handle(RECORD, directory):
        pass


def test_damaged_files_are_as_none(directory: Path) -> None:
    (directory / "started.json").write_text("{")
    assert container_state(directory).status is Status.CREATED
    (directory / "exit" / IDENTITY).write_text("")
    assert read_exit(directory) is None


def test_a_new_start_forgets_the_last(directory: Path, child: subprocess.Popen[bytes]) -> None:
    note_start(directory, child.pid, 0, 1.0)
    ended(directory, 3)
    for name in ("pid", "conmon.pid", "log.crun"):
        (directory / name).write_text("1")
    forget_start(directory)
    assert [path.name for path in directory.iterdir()] == ["exit"]
    assert container_state(directory).status is Status.CREATED
    forget_start(directory)


def test_a_handle_waits_and_signals(directory: Path, child: subprocess.Popen[bytes]) -> None:
    note_start(directory, child.pid, 0, 1.0)
    with process_handle(RECORD, directory) as fd:
        assert not wait_for_end(fd, 0.01)
        assert send_signal(fd, signal.SIGKILL)
        assert wait_for_end(fd, 10)
        child.wait()
        assert not send_signal(fd, signal.SIGKILL)


def test_a_handle_needs_a_running_container(directory: Path) -> None:
    with (
        pytest.raises(Conflict, match="web is not running") as caught,
        process_handle(RECORD, directory),
    ):
        pass
    assert "corten start web" in caught.value.hint
