"""Mount namespaces of threads: what is mounted there is nowhere else."""

import subprocess
import threading
from pathlib import Path

import pytest

from corten.errors import NotFound
from corten.system.cgroup import CgroupMode, cgroup_mode
from corten.system.mount import mount, unmount
from corten.system.namespaces import in_private_mounts
from support.containers import needs_root

pytestmark = [pytest.mark.root, needs_root]


def mounted(target: Path) -> bool:
    return str(target) in Path("/proc/thread-self/mountinfo").read_text()


def test_a_mount_is_seen_by_the_thread_and_its_programs_only(tmp_path: Path) -> None:
    def work() -> subprocess.Popen[bytes]:
        mount("none", str(tmp_path), "tmpfs")
        (tmp_path / "inside").write_text("here")
        assert mounted(tmp_path)
        return subprocess.Popen(
            ["/bin/sh", "-c", f"read go; cat {tmp_path}/inside"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    program = in_private_mounts(work)
    assert not mounted(tmp_path)
    assert not list(tmp_path.iterdir())
    # The thread has ended: the program alone keeps the namespace.
    assert program.communicate(b"go\n")[0] == b"here"


def test_results_and_errors_come_back() -> None:
    assert in_private_mounts(lambda: 42) == 42

    def fails() -> None:
        raise NotFound("inside")

    with pytest.raises(NotFound, match="inside"):
        in_private_mounts(fails)


def test_crun_never_sees_a_hybrid_arrangement() -> None:
    inside = in_private_mounts(lambda: cgroup_mode(Path("/proc/thread-self/mountinfo").read_text()))
    assert inside is not CgroupMode.HYBRID
    # The host's arrangement is untouched.
    assert cgroup_mode() in CgroupMode


def test_what_is_made_in_the_hidden_tree_does_not_reach_the_host() -> None:
    if cgroup_mode() is not CgroupMode.HYBRID:
        pytest.skip("this machine has no hybrid arrangement")
    name = Path("/sys/fs/cgroup/unified/corten-leak-test")
    in_private_mounts(name.mkdir)

    def below() -> bool:
        unmount("/sys/fs/cgroup/unified")  # our cover
        unmount("/sys/fs/cgroup/unified")  # the version 2 tree itself
        return name.exists()

    assert not name.exists()
    assert in_private_mounts(below) is False


def test_many_threads_do_not_see_each_other(tmp_path: Path) -> None:
    seen: dict[int, list[str]] = {}
    barrier = threading.Barrier(5)

    def one(number: int) -> None:
        def work() -> list[str]:
            mount("none", str(tmp_path), "tmpfs")
            (tmp_path / str(number)).touch()
            barrier.wait(10)
            return [path.name for path in tmp_path.iterdir()]

        seen[number] = in_private_mounts(work)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {n: [str(n)] for n in range(5)}


def test_a_threads_working_directory_is_its_own(tmp_path: Path) -> None:
    import os

    before = Path.cwd()
    in_private_mounts(lambda: os.chdir(tmp_path))
    assert Path.cwd() == before
