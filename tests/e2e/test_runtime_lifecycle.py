"""The life of real containers: conmon, crun, exit statuses, stop, exec, logs, crashes."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.errors import Conflict, Invalid, NotFound, Usage
from corten.runtime import lifecycle
from corten.runtime.attach import Attachment, Streams
from corten.runtime.containers import ContainerRecord, NameTaken
from corten.runtime.execution import execute
from corten.runtime.failures import CannotExecute
from corten.runtime.logs import read_log
from corten.runtime.protocols import Process
from corten.runtime.state import UNKNOWN_EXIT, Status, read_started
from support.containers import World, eventually, needs_root, processes, run_exec, world

pytestmark = [pytest.mark.root, pytest.mark.e2e, needs_root]

TRAP = "trap 'echo got it; exit 9' USR1; trap '' TERM; echo ready; while :; do sleep 0.05; done"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def status(here: World, record: ContainerRecord) -> Status:
    return lifecycle.state(here.runtime, record).status


def says(here: World, record: ContainerRecord, text: bytes) -> None:
    eventually(lambda: text in here.log(record), lambda: f"the log is {here.log(record)!r}")


def pids(here: World, record: ContainerRecord) -> tuple[int, int]:
    started = read_started(here.runtime.directory(record))
    assert started is not None
    return started.pid, started.monitor


@pytest.mark.parametrize(
    ("command", "expected"),
    [("exit 0", 0), ("exit 7", 7), ("exit 255", 255)],
)
def test_foreground_status_and_output(here: World, command: str, expected: int) -> None:
    code, output = here.run("sh", "-c", f"echo out; echo err >&2; {command}")
    assert (code, output) == (expected, b"out\nerr\n")


def test_much_output_in_the_foreground_arrives_whole(here: World) -> None:
    code, output = here.run("sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x")
    assert (code, output) == (0, b"x" * 3_000_000)


def test_a_container_goes_through_its_states(here: World) -> None:
    record = here.create("sh", "-c", "echo hello; sleep 60")
    assert status(here, record) is Status.CREATED
    here.start(record)
    running = lifecycle.state(here.runtime, record)
    assert running.status is Status.RUNNING
    assert Path(f"/proc/{running.pid}").exists()
    assert abs(running.started - time.time()) < 5
    says(here, record, b"hello\n")
    lifecycle.kill(here.runtime, record)
    assert lifecycle.wait(here.runtime, record, 10) == 137
    ended = lifecycle.state(here.runtime, record)
    assert (ended.status, ended.exit_code, ended.pid) == (Status.EXITED, 137, 0)
    assert ended.finished >= ended.started


def test_an_ended_container_starts_again_with_its_files(here: World) -> None:
    record = here.create("sh", "-c", "cat /mark; echo again > /mark; exit 4")
    for expected in (b"", b"again\n"):
        here.start(record)
        assert lifecycle.wait(here.runtime, record, 10) == 4
        assert here.log(record).endswith(expected)


def test_starting_a_running_container_is_refused(here: World) -> None:
    record = here.create("sleep", "60")
    here.start(record)
    with pytest.raises(Conflict, match="running already"):
        here.start(record)


def test_a_command_that_is_missing_is_127_and_the_container_stays_created(here: World) -> None:
    record = here.create("no-such-command")
    with pytest.raises(CannotExecute, match="no-such-command") as caught:
        here.start(record)
    assert caught.value.status == 127
    assert status(here, record) is Status.CREATED
    with pytest.raises(CannotExecute) as caught:
        here.run("/bin/plain")
    assert caught.value.status == 126


def test_an_unknown_user_leaves_nothing_started(here: World, tmp_path: Path) -> None:
    record = here.create("true", user="nobody-here")
    with pytest.raises(Invalid, match="nobody-here"):
        here.start(record)
    assert status(here, record) is Status.CREATED
    assert not list(processes(record.id))


def test_stop_sends_the_images_signal_and_takes_the_commands_status(here: World) -> None:
    record = here.create("sh", "-c", TRAP, stop_signal="SIGUSR1")
    here.start(record)
    says(here, record, b"ready\n")
    begin = time.monotonic()
    assert lifecycle.stop(here.runtime, record) == 9
    assert time.monotonic() - begin < 5
    assert here.log(record) == b"ready\ngot it\n"
    assert status(here, record) is Status.EXITED


def test_stop_kills_after_its_patience(here: World) -> None:
    record = here.create("sh", "-c", TRAP)
    here.start(record)
    says(here, record, b"ready\n")
    begin = time.monotonic()
    assert lifecycle.stop(here.runtime, record, 0.3) == 137
    assert 0.3 <= time.monotonic() - begin < 5


def test_stop_of_what_does_not_run_changes_nothing(here: World) -> None:
    record = here.create("sh", "-c", "exit 3")
    assert lifecycle.stop(here.runtime, record) == 0
    here.start(record)
    lifecycle.wait(here.runtime, record)
    assert lifecycle.stop(here.runtime, record) == 3


def test_kill_sends_any_signal_and_needs_a_running_container(here: World) -> None:
    record = here.create("sh", "-c", TRAP)
    with pytest.raises(Conflict, match="not running"):
        lifecycle.kill(here.runtime, record)
    here.start(record)
    says(here, record, b"ready\n")
    with pytest.raises(Invalid, match="SIGNONSENSE"):
        lifecycle.kill(here.runtime, record, "SIGNONSENSE")
    lifecycle.kill(here.runtime, record, "usr1")
    assert lifecycle.wait(here.runtime, record, 10) == 9


def test_wait_gives_up_in_time(here: World) -> None:
    record = here.create("sleep", "60")
    here.start(record)
    assert lifecycle.wait(here.runtime, record, 0.1) is None


def test_logs_follow_until_the_end(here: World) -> None:
    record = here.create("sh", "-c", "for i in 1 2 3; do echo line $i; sleep 0.1; done; echo e >&2")
    here.start(record)
    path = here.runtime.directory(record) / "log"
    entries = list(read_log(path, follow=lambda: status(here, record) is Status.RUNNING))
    assert [entry.text for entry in entries if entry.stream == 1] == [
        b"line 1\n",
        b"line 2\n",
        b"line 3\n",
    ]
    assert [entry.text for entry in entries if entry.stream == 2] == [b"e\n"]
    assert all(entry.time.startswith("20") and "T" in entry.time for entry in entries)
    tail = b"".join(entry.text for entry in read_log(path, tail=2))
    assert tail == b"line 3\ne\n"


def test_logs_keep_long_lines_and_missing_ends(here: World) -> None:
    record = here.create("sh", "-c", "head -c 100000 /dev/zero | tr '\\0' y; echo; printf end")
    here.start(record)
    lifecycle.wait(here.runtime, record, 10)
    assert here.log(record) == b"y" * 100000 + b"\nend"


def test_exec_runs_beside_the_command_with_its_environment(here: World) -> None:
    record = here.create("sleep", "60", env=("COLOUR=red", "SIZE=1"), cwd="/tmp", user="app")
    here.start(record)
    code, output = run_exec(
        here, record, "sh", "-c", "echo $COLOUR $SIZE $(pwd) $(id -un); exit 6", env=("SIZE=2",)
    )
    assert (code, output) == (6, b"red 2 /tmp app\n")
    code, output = run_exec(here, record, "sh", "-c", "id -u; pwd", user="root", cwd="/")
    assert (code, output) == (0, b"0\n/\n")
    _, output = run_exec(here, record, "cat", "/proc/1/comm")
    assert output == b"sleep\n"


def test_exec_is_confined_as_the_container_is(here: World) -> None:
    record = here.create("sleep", "60")
    here.start(record)
    _, inside = run_exec(here, record, "cat", "/proc/self/status")
    _, first = run_exec(here, record, "cat", "/proc/1/status")
    for name in ("CapEff", "CapBnd", "Seccomp"):
        lines = [
            next(x for x in text.splitlines() if x.startswith(name.encode()))
            for text in (inside, first)
        ]
        assert lines[0] == lines[1]


def test_exec_passes_input_and_reports_what_cannot_run(here: World) -> None:
    record = here.create("sleep", "60")
    with pytest.raises(Conflict, match="not running"):
        run_exec(here, record, "true")
    here.start(record)
    code, output = run_exec(here, record, "tr", "a-z", "A-Z", stdin=b"input")
    assert (code, output) == (0, b"INPUT")
    with pytest.raises(CannotExecute) as caught:
        run_exec(here, record, "no-such")
    assert caught.value.status == 127
    with pytest.raises(Invalid, match="'ghost'"):
        run_exec(here, record, "true", user="ghost")
    with pytest.raises(Usage, match="not a terminal"):
        run_exec(here, record, "true", tty=True)
    assert not list(here.runtime.directory(record).glob("exec-*"))


def test_exec_on_a_terminal_gives_one(here: World) -> None:
    record = here.create("sleep", "60")
    here.start(record)
    ours, theirs = pty.openpty()
    try:
        process = Process(("sh", "-c", "tty; exit 3"), cwd="", tty=True)
        code = execute(here.runtime, record, process, Streams(theirs, theirs, theirs))
        assert code == 3
        assert b"/dev/pts/" in os.read(ours, 1000)
    finally:
        os.close(ours)
        os.close(theirs)


def test_input_reaches_an_interactive_container_and_its_end_too(here: World) -> None:
    record = here.create("sh", "-c", "cat; echo end", interactive=True)
    mounts = here.snapshots.mounts(record.snapshot)
    source, feed = os.pipe()
    reading, writing = os.pipe()
    data = os.urandom(300_000)
    writer = threading.Thread(target=write_all, args=(feed, data))
    collected: list[bytes] = []
    reader = threading.Thread(target=lambda: collected.append(read_all(reading)))
    with lifecycle.attended(here.runtime, record):
        attachment = lifecycle.start(here.runtime, record, mounts, attach=True)
        assert attachment is not None
        writer.start()
        reader.start()
        with attachment:
            attachment.relay(Streams(source, writing, writing))
    writer.join()
    os.close(writing)
    reader.join()
    os.close(source)
    assert collected[0] == data + b"end\n"
    assert lifecycle.wait(here.runtime, record, 10) == 0


def write_all(fd: int, data: bytes) -> None:
    with open(fd, "wb") as file:
        file.write(data)


def read_all(fd: int) -> bytes:
    with open(fd, "rb") as file:
        return file.read()


def test_a_terminal_has_our_size_and_detaches_by_its_keys(here: World) -> None:
    record = here.create("sh", "-c", "sleep 0.3; stty size; exec cat", interactive=True, tty=True)
    mounts = here.snapshots.mounts(record.snapshot)
    attachment = lifecycle.start(here.runtime, record, mounts, attach=True)
    assert attachment is not None
    ours, theirs = pty.openpty()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
    ended: list[bool] = []

    def relay() -> None:
        with attachment:
            ended.append(attachment.relay(Streams(theirs, theirs, theirs), tty=True))

    thread = threading.Thread(target=relay)
    thread.start()
    seen = b""
    while b"33 101" not in seen:
        seen += os.read(ours, 1000)
    os.write(ours, b"typed\r")
    while b"typed" not in seen:
        seen += os.read(ours, 1000)
    os.write(ours, b"\x10\x11")
    thread.join(5)
    os.close(ours)
    os.close(theirs)
    assert ended == [False]
    assert status(here, record) is Status.RUNNING
    with Attachment(here.runtime.directory(record)):
        pass


def test_remove_refuses_a_running_container_unless_forced(here: World) -> None:
    record = here.create("sleep", "60")
    here.start(record)
    with pytest.raises(Conflict, match="is running"):
        lifecycle.remove(here.runtime, record, here.snapshots)
    pid, monitor = pids(here, record)
    lifecycle.remove(here.runtime, record, here.snapshots, force=True)
    with pytest.raises(NotFound):
        here.runtime.containers.get(record.id)
    eventually(lambda: not list(processes(record.id)))
    assert not Path(f"/proc/{pid}/exe").exists()
    assert (
        not Path(f"/proc/{monitor}/cmdline").exists()
        or not Path(f"/proc/{monitor}/cmdline").read_bytes()
    )
    lifecycle.remove(here.runtime, record, here.snapshots, force=True)


def test_a_detached_container_with_auto_remove_vanishes_by_itself(here: World) -> None:
    record = here.create("sh", "-c", "sleep 0.2", auto_remove=True, volumes=["/data"])
    here.start(record)
    directory = here.runtime.directory(record)
    eventually(lambda: not directory.exists())
    assert not list((here.root / "volumes").iterdir())
    assert not [s for s in here.snapshots.walk() if s.key == record.snapshot]


def test_names_are_unique_and_given_where_missing(here: World) -> None:
    record = here.create("true", name="web")
    with pytest.raises(NameTaken, match="'web'"):
        here.create("true", name="web")
    here.remove(record)
    again = here.create("true", name="web")
    assert here.runtime.containers.get("web").id == again.id
    assert "_" in here.create("true").name


def test_killing_everything_is_seen_as_an_exit(here: World) -> None:
    record = here.create("sleep", "60", network="bridge")
    here.start(record)
    pid, monitor = pids(here, record)
    os.kill(monitor, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: status(here, record) is Status.EXITED)
    assert lifecycle.state(here.runtime, record).exit_code == UNKNOWN_EXIT
    assert here.runtime.network.lease(record.id) is not None
    assert lifecycle.settle_all(here.runtime) == 1
    assert here.runtime.network.lease(record.id) is None
    here.start(record)
    assert status(here, record) is Status.RUNNING


def test_killing_the_command_alone_is_noticed_by_the_monitor(here: World) -> None:
    record = here.create("sleep", "60", network="bridge")
    here.start(record)
    os.kill(pids(here, record)[0], signal.SIGKILL)
    assert lifecycle.wait(here.runtime, record, 10) == 137
    # Nobody attends: conmon's exit command gives back address and rules.
    eventually(lambda: here.runtime.network.lease(record.id) is None)


def test_a_container_whose_monitor_was_killed_can_be_removed(here: World, tmp_path: Path) -> None:
    record = here.create("sleep", "60", network="bridge")
    here.start(record)
    os.kill(pids(here, record)[1], signal.SIGKILL)
    assert status(here, record) is Status.RUNNING
    here.remove(record)
    eventually(lambda: not list(processes(str(tmp_path))))


def test_a_process_of_the_same_number_is_not_taken_for_the_container(here: World) -> None:
    record = here.create("sleep", "60")
    here.start(record)
    started = read_started(here.runtime.directory(record))
    assert started is not None
    lifecycle.stop(here.runtime, record, 0)
    # As after a reboot: the number is now that of this process, which must survive.
    from corten.runtime.containers import write_json
    from corten.runtime.state import Started

    for file in (here.runtime.directory(record) / "exit").iterdir():
        file.unlink()
    write_json(
        here.runtime.directory(record) / "started.json",
        Started(os.getpid(), started.ticks, started.boot, started.time, os.getpid(), 1),
    )
    assert status(here, record) is Status.EXITED
    with pytest.raises(Conflict):
        lifecycle.kill(here.runtime, record)
    here.remove(record)


def test_signals_to_the_command_reach_the_container(here: World, tmp_path: Path) -> None:
    record = here.create("sh", "-c", TRAP)
    program = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from corten.runtime import lifecycle
        from corten.runtime.attach import Streams, forwarding
        from corten.runtime.host import Runtime
        from corten.runtime.signals import signal_number
        from corten.snapshot.probing import choose
        runtime = Runtime(Path({str(here.root)!r}))
        record = runtime.containers.get({record.id!r})
        with lifecycle.attended(runtime, record):
            mounts = choose(runtime.root).mounts(record.snapshot)
            attachment = lifecycle.start(runtime, record, mounts, attach=True)
            with attachment, forwarding(lambda n: lifecycle.kill(runtime, record, str(n))):
                attachment.relay(Streams(-1, 1, 2))
            sys.exit(lifecycle.wait(runtime, record))
    """)
    command = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert command.stdout is not None
    with command:
        assert command.stdout.readline() == b"ready\n"
        command.send_signal(signal.SIGUSR1)
        assert command.stdout.read() == b"got it\n"
    assert command.returncode == 9


def test_if_the_attending_command_is_killed_the_monitor_cleans_up(here: World) -> None:
    record = here.create("sh", "-c", "echo ready; sleep 1", auto_remove=True, network="bridge")
    program = textwrap.dedent(f"""
        from pathlib import Path
        from corten.runtime import lifecycle
        from corten.runtime.attach import Streams
        from corten.runtime.host import Runtime
        from corten.snapshot.probing import choose
        runtime = Runtime(Path({str(here.root)!r}))
        record = runtime.containers.get({record.id!r})
        with lifecycle.attended(runtime, record):
            mounts = choose(runtime.root).mounts(record.snapshot)
            lifecycle.start(runtime, record, mounts, attach=True).relay(Streams(-1, 1, 2))
    """)
    command = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert command.stdout is not None
    with command:
        assert command.stdout.readline() == b"ready\n"
        command.kill()
    eventually(lambda: not here.runtime.directory(record).exists())
    assert here.runtime.network.lease(record.id) is None


def test_two_starts_at_once_start_it_once(here: World) -> None:
    record = here.create("sleep", "60")
    outcomes: list[object] = []

    def one() -> None:
        try:
            here.start(record)
            outcomes.append("started")
        except Conflict:
            outcomes.append("refused")

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, outcomes)) == ["refused", "refused", "started"]


def test_limits_on_processes_hold(here: World) -> None:
    record = here.create("sh", "-c", "for i in $(seq 40); do sleep 1 & done; wait", pids=10)
    here.start(record)
    lifecycle.wait(here.runtime, record, 10)
    assert b"can't fork" in here.log(record)


def test_a_readonly_container_cannot_write(here: World) -> None:
    code, output = here.run("touch", "/x", readonly=True)
    assert code != 0
    assert b"Read-only" in output


def test_a_slow_reader_gets_every_byte(here: World) -> None:
    record = here.create("seq", "1", "200000")
    reading, writing = os.pipe()
    collected: list[bytes] = []

    def read_slowly() -> None:
        with open(reading, "rb", buffering=0) as file:
            while data := file.read(65536):
                collected.append(data)
                time.sleep(0.01)

    reader = threading.Thread(target=read_slowly)
    reader.start()
    mounts = here.snapshots.mounts(record.snapshot)
    with lifecycle.attended(here.runtime, record):
        attachment = lifecycle.start(here.runtime, record, mounts, attach=True)
        assert attachment is not None
        with attachment:
            attachment.relay(Streams(-1, writing, writing))
    os.close(writing)
    reader.join()
    assert b"".join(collected) == b"".join(b"%d\n" % n for n in range(1, 200001))
