"""Build steps in real sandboxes: crun over a real snapshot."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.errors import Cancelled, Conflict, Invalid
from corten.events.job import Job
from corten.runtime.capabilities import ALL_CAPABILITIES, DEFAULT_CAPABILITIES
from corten.runtime.crun import CrunExecutor
from corten.runtime.failures import CannotExecute
from corten.runtime.protocols import Bind, Process, Sandbox
from corten.snapshot.remains import is_free
from support.containers import World, eventually, needs_root, processes, world

pytestmark = [pytest.mark.root, pytest.mark.e2e, needs_root]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def capability_mask(names: tuple[str, ...]) -> int:
    header = Path("/usr/include/linux/capability.h")
    if not header.exists():
        pytest.skip("no kernel headers to compare with")
    numbers = {}
    for line in header.read_text().splitlines():
        fields = line.split()
        if len(fields) >= 3 and fields[0] == "#define" and fields[2].isdigit():
            numbers[fields[1]] = int(fields[2])
    return sum(1 << numbers[name] for name in names)


def status_field(output: bytes, name: str) -> str:
    for line in output.decode().splitlines():
        if line.startswith(f"{name}:"):
            return line.partition(":")[2].strip()
    raise AssertionError(f"no {name}")


def test_output_and_exit_status_come_back(here: World) -> None:
    assert here.step("sh", "-c", "echo out; echo err >&2; exit 3") == (3, b"out\nerr\n")


def test_a_killed_command_has_128_and_the_signal(here: World) -> None:
    assert here.step("sh", "-c", "sh -c 'kill -9 $$'; exit $?")[0] == 137
    assert here.step("sh", "-c", "trap - TERM; kill -TERM $$; sleep 1; exit 7")[0] in {143, 7}


def test_streams_are_told_apart(here: World) -> None:
    got: dict[int, bytes] = {1: b"", 2: b""}
    mounts = here.snapshots.prepare("s", [here.layer])

    def output(stream: int, data: bytes) -> None:
        got[stream] += data

    here.executor.run(
        "s", Process(("sh", "-c", "echo a; echo b >&2")), Sandbox(rootfs=mounts), output, Job()
    )
    here.snapshots.remove("s")
    assert got == {1: b"a\n", 2: b"b\n"}


def test_much_output_arrives_whole(here: World) -> None:
    status, output = here.step("sh", "-c", "head -c 5000000 /dev/zero")
    assert (status, len(output)) == (0, 5_000_000)


def test_a_command_that_is_not_there_is_127_and_named(here: World) -> None:
    with pytest.raises(CannotExecute, match="'no-such'") as caught:
        here.step("no-such")
    assert caught.value.status == 127
    with pytest.raises(CannotExecute) as caught:
        here.step("/bin/no-such")
    assert caught.value.status == 127


@pytest.mark.parametrize("command", ["/bin/plain", "/etc"])
def test_a_command_that_is_no_program_is_126(here: World, command: str) -> None:
    with pytest.raises(CannotExecute) as caught:
        here.step(command)
    assert caught.value.status == 126


def test_crun_complaints_are_not_the_commands_output(here: World) -> None:
    pieces: list[bytes] = []
    mounts = here.snapshots.prepare("s", [here.layer])
    with pytest.raises(CannotExecute):
        here.executor.run(
            "s",
            Process(("no-such",)),
            Sandbox(rootfs=mounts),
            lambda _, data: pieces.append(data),
            Job(),
        )
    here.snapshots.remove("s")
    assert pieces == []


def test_an_unknown_user_is_an_error_before_anything_runs(here: World) -> None:
    with pytest.raises(Invalid, match="'nobody-here'"):
        here.step("true", user="nobody-here")


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", "0 0 0 /root"),
        ("app", "1234 2345 2345 29 44 /home/app"),
        ("1234", "1234 2345 2345 29 44 /home/app"),
        ("app:audio", "1234 29 29 /home/app"),
        ("4000:5000", "4000 5000 5000 /"),
    ],
)
def test_the_user_is_who_the_images_files_say(here: World, user: str, expected: str) -> None:
    status, output = here.step("sh", "-c", "echo $(id -u) $(id -g) $(id -G) $HOME", user=user)
    assert (status, output.decode().strip()) == (0, expected)


def test_root_has_the_eleven_capabilities_and_seccomp(here: World) -> None:
    _, output = here.step("cat", "/proc/self/status")
    mask = capability_mask(DEFAULT_CAPABILITIES)
    for name in ("CapEff", "CapPrm", "CapBnd"):
        assert int(status_field(output, name), 16) == mask
    assert int(status_field(output, "CapInh"), 16) == 0
    assert status_field(output, "Seccomp") == "2"


def test_another_user_has_no_capability_in_effect(here: World) -> None:
    _, output = here.step("cat", "/proc/self/status", user="app")
    assert int(status_field(output, "CapEff"), 16) == 0
    assert int(status_field(output, "CapBnd"), 16) == capability_mask(DEFAULT_CAPABILITIES)


def test_privileged_has_all_that_the_machine_gives_and_no_seccomp(here: World) -> None:
    _, output = here.step("cat", "/proc/self/status", privileged=True)
    own = int(status_field(Path("/proc/self/status").read_bytes(), "CapEff"), 16)
    assert int(status_field(output, "CapEff"), 16) == own & capability_mask(ALL_CAPABILITIES)
    assert status_field(output, "Seccomp") == "0"


@pytest.mark.parametrize(
    "command",
    [
        "mount -t tmpfs none /tmp",
        "mknod /tmp/null c 1 3",
        "unshare -m true",
        "unshare -U true",
        "hostname changed",
        "echo 1 > /proc/sys/kernel/sysrq",
        "echo b > /proc/sysrq-trigger",
        "cat /proc/kcore | head -c 1 | grep -q .",
        "ls /sys/firmware | grep -q .",
        "date -s 2020-01-01; test $(date +%Y) = 2020",
        "chroot /proc/1/root/../.. ls /work",
        "echo x > /sys/fs/cgroup/devices/cgroup.procs",
        "swapon /bin/busybox",
    ],
)
def test_what_reaches_beyond_the_container_fails(here: World, command: str) -> None:
    assert here.step("sh", "-c", command)[0] != 0


def test_masked_paths_are_empty(here: World) -> None:
    _, output = here.step(
        "sh",
        "-c",
        "(for p in /proc/acpi /sys/firmware /proc/scsi; do ls -A $p; done; "
        "for f in /proc/keys /proc/timer_list /proc/interrupts; do cat $f; done) 2>/dev/null",
    )
    assert output == b""


def test_pid_ipc_uts_and_mount_namespaces_are_its_own(here: World) -> None:
    kinds = ("pid", "ipc", "uts", "mnt", "cgroup")
    _, output = here.step(
        "sh", "-c", f"for n in {' '.join(kinds)}; do readlink /proc/self/ns/$n; done"
    )
    own = [str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in kinds]
    assert not set(output.decode().split()) & set(own)


def test_network_host_is_the_hosts_and_none_has_loopback_alone(here: World) -> None:
    _, output = here.step("readlink", "/proc/self/ns/net")
    assert output.decode().strip() == str(Path("/proc/self/ns/net").readlink())
    _, output = here.step("ls", "/sys/class/net", network="none")
    assert output.split() == [b"lo"]


def test_binds_are_there_and_leave_nothing_in_the_layer(here: World, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    (tmp_path / "folder").mkdir()
    binds = (
        Bind("/run/deep/secret", str(secret), readonly=True),
        Bind("/opt/folder", str(tmp_path / "folder")),
        Bind("/cache", type="tmpfs"),
    )
    mounts = here.snapshots.prepare("b", [here.layer])
    command = "cat /run/deep/secret; echo x > /run/deep/secret; touch /opt/folder/made /cache/x"
    pieces: list[bytes] = []
    status = here.executor.run(
        "b",
        Process(("sh", "-c", command)),
        Sandbox(rootfs=mounts, binds=binds),
        lambda _, data: pieces.append(data),
        Job(),
    )
    changed: list[bytes] = []
    here.snapshots.diff("b", changed.append)
    here.snapshots.remove("b")
    assert status == 0
    assert b"".join(pieces).startswith(b"s3cret\n")
    assert (tmp_path / "folder" / "made").exists()
    assert secret.read_text() == "s3cret\n"
    assert not any(b"".join(changed)), "the layer of a step that changed nothing is not empty"


def test_working_directory_environment_and_hostname(here: World) -> None:
    status, output = here.step(
        "sh",
        "-c",
        "pwd; echo $A; hostname; echo $PATH",
        cwd="/tmp",
        env=("A=1", "A=2"),
        hostname="h",
    )
    assert status == 0
    assert output.decode().split("\n")[:3] == ["/tmp", "2", "h"]
    assert "/usr/bin" in output.decode()


def test_with_init_orphans_are_reaped_and_the_status_comes_through(here: World) -> None:
    if not Path("/usr/bin/tini-static").exists():
        pytest.skip("tini is not installed")
    status, output = here.step("sh", "-c", "echo $$; exit 5", init=True)
    assert status == 5
    assert int(output) > 1


def test_cancel_ends_the_step_at_once_and_leaves_nothing(here: World, tmp_path: Path) -> None:
    job = Job()
    timer = threading.Timer(0.4, job.cancel)
    timer.start()
    begin = time.monotonic()
    with pytest.raises(Cancelled):
        here.step("sh", "-c", "sleep 60 & sleep 60", job=job)
    timer.join()
    assert time.monotonic() - begin < 5
    eventually(lambda: not list(processes(str(tmp_path))))
    assert not list((here.root / "run" / "steps").iterdir())
    assert not list((here.root / "run" / "crun").glob("[!.]*"))


def test_a_cancelled_job_starts_nothing(here: World) -> None:
    job = Job()
    job.cancel()
    with pytest.raises(Cancelled):
        here.step("true", job=job)


def test_two_runs_of_one_key_do_not_meet(here: World) -> None:
    job = Job()
    errors: list[BaseException] = []

    def first() -> None:
        try:
            here.step("sleep", "60", job=job)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    try:
        eventually((here.root / "run" / "steps" / "step" / "pid").exists)
        with pytest.raises(Conflict):
            here.executor.run(
                "step", Process(("true",)), Sandbox(rootfs=()), lambda *_: None, Job()
            )
    finally:
        job.cancel()
        thread.join()
    assert isinstance(errors[0], Cancelled)


def test_a_step_that_begins_while_leftovers_are_looked_for_just_runs(here: World) -> None:
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            here.executor.sweep()
            for path in (here.root / "run" / "steps").glob("*/"):
                is_free(path)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(15):
            assert here.step("true") == (0, b"")
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_many_steps_at_once(here: World) -> None:
    results: dict[int, bytes] = {}

    def one(number: int) -> None:
        key = f"s{number}"
        mounts = here.snapshots.prepare(key, [here.layer])
        pieces: list[bytes] = []
        here.executor.run(
            key,
            Process(("sh", "-c", f"echo {number} > /x; cat /x")),
            Sandbox(rootfs=mounts),
            lambda _, data: pieces.append(data),
            Job(),
        )
        results[number] = b"".join(pieces)
        here.snapshots.remove(key)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: f"{n}\n".encode() for n in range(6)}


def test_what_a_killed_builder_left_is_swept(here: World, tmp_path: Path) -> None:
    here.snapshots.prepare("orphan", [here.layer])
    program = textwrap.dedent(f"""
        from pathlib import Path
        from corten.events.job import Job
        from corten.runtime.crun import CrunExecutor
        from corten.runtime.protocols import Process, Sandbox
        from corten.snapshot.probing import choose
        root = Path({str(here.root)!r})
        CrunExecutor(root).run("orphan", Process(("sleep", "300")),
            Sandbox(rootfs=choose(root).mounts("orphan")), print, Job())
    """)
    builder = subprocess.Popen([sys.executable, "-c", program])
    pid_file = here.root / "run" / "steps" / "orphan" / "pid"
    try:
        eventually(lambda: pid_file.exists() and pid_file.read_text().strip())
    finally:
        builder.kill()
        builder.wait()
    pid = int(pid_file.read_text())
    assert Path(f"/proc/{pid}").exists()
    assert CrunExecutor(here.root).sweep() == 1
    eventually(lambda: not Path(f"/proc/{pid}/exe").exists())
    assert CrunExecutor(here.root).sweep() == 0
    here.snapshots.remove("orphan")
