"""Helper programs: found, run, bounded; and what a process is known by."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from corten.errors import Unavailable
from corten.system.process import (
    OUTPUT_LIMIT,
    HelperFailed,
    MissingHelper,
    check_program,
    find_program,
    process_ticks,
    run_program,
)


def script(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_missing_helper_names_the_package_to_install() -> None:
    error = MissingHelper("crun")
    assert str(error) == "crun is not installed"
    assert "apt-get install crun" in error.hint


def test_the_package_of_a_program_may_have_another_name() -> None:
    assert MissingHelper("nft").package == "nftables"
    assert MissingHelper("ip").package == "iproute2"
    assert MissingHelper("something-else").package == "something-else"


def test_a_program_that_is_nowhere_is_missing() -> None:
    with pytest.raises(MissingHelper, match="corten-no-such"):
        find_program("corten-no-such")


def test_our_own_helpers_come_before_the_path(tmp_path: Path) -> None:
    for folder in ("own", "path"):
        (tmp_path / folder).mkdir()
        script(tmp_path / folder, "thing", "exit 0")
    environ = {"CORTEN_HELPERS": str(tmp_path / "own"), "PATH": str(tmp_path / "path")}
    assert find_program("thing", environ) == str(tmp_path / "own" / "thing")
    del environ["CORTEN_HELPERS"]
    assert find_program("thing", environ) == str(tmp_path / "path" / "thing")


def test_what_is_not_executable_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "thing").write_text("text")
    with pytest.raises(MissingHelper):
        find_program("thing", {"PATH": str(tmp_path)})


def test_streams_status_and_input() -> None:
    done = run_program(["/bin/sh", "-c", "cat; echo err >&2; exit 4"], stdin=b"given")
    assert done == (4, b"given", b"err\n")


def test_without_input_there_is_none() -> None:
    assert run_program(["/bin/cat"]).stdout == b""


def test_output_is_kept_up_to_the_limit() -> None:
    done = run_program(["/bin/sh", "-c", f"head -c {OUTPUT_LIMIT + 5000} /dev/zero; exit 2"])
    assert (done.status, len(done.stdout)) == (2, OUTPUT_LIMIT)


def test_the_environment_can_be_replaced() -> None:
    done = run_program(
        [sys.executable, "-c", "import os; print(os.environ['X'])"], environ={"X": "1"}
    )
    assert done.stdout == b"1\n"


def test_a_helper_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    slow = script(tmp_path, "slow", f"echo $$ > {mark}; exec sleep 60")
    with pytest.raises(Unavailable, match=r"did not end within 0\.5 seconds"):
        run_program([slow], timeout=0.5)
    assert not process_ticks(int(mark.read_text()))


def test_a_daemon_that_is_left_behind_does_not_hold_us_up(tmp_path: Path) -> None:
    begin = time.monotonic()
    done = run_program(["/bin/sh", "-c", f"sleep 30 & echo $! > {tmp_path}/pid; echo done"])
    assert done.stdout == b"done\n"
    assert time.monotonic() - begin < 10
    os.kill(int((tmp_path / "pid").read_text()), 9)


def test_running_what_is_not_there_says_so() -> None:
    with pytest.raises(MissingHelper, match="/no/such/helper"):
        run_program(["/no/such/helper"])


def test_a_checked_helper_raises_with_its_first_line() -> None:
    assert check_program(["/bin/echo", "fine"]) == b"fine\n"
    with pytest.raises(HelperFailed, match=r"sh failed \(exit status 3\): first") as caught:
        check_program(["/bin/sh", "-c", "echo first >&2; echo second >&2; exit 3"])
    assert (caught.value.status, caught.value.text) == (3, "first")
    with pytest.raises(HelperFailed, match="no message"):
        check_program(["/bin/false"])


def test_a_process_is_known_by_when_it_started() -> None:
    assert process_ticks(os.getpid()) == process_ticks(os.getpid()) > 0


def test_a_process_that_ended_has_no_start() -> None:
    with subprocess.Popen(["/bin/true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        # A zombie is there, but ended.
        assert process_ticks(child.pid) == 0
    assert process_ticks(2**22 + 1) == 0
