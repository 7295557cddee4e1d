"""`Runtime`, the executor's keys, and what a container is told of itself."""

import os
from pathlib import Path

import pytest

from corten.errors import Cancelled, Invalid
from corten.events.job import Job
from corten.runtime.cleanup import clean_up, main
from corten.runtime.containers import ContainerRecord
from corten.runtime.crun import INIT_PATH, CrunExecutor, root_scope, with_init
from corten.runtime.host import Runtime
from corten.runtime.launch import environment, hostname, isolation
from corten.runtime.protocols import Process, Sandbox
from corten.runtime.specification import Isolation

IDENTITY = "ab" * 32


def record(**fields: object) -> ContainerRecord:
    return ContainerRecord(id=IDENTITY, name="web", process=Process(("x",), ("A=1",)), **fields)  # type: ignore[arg-type]


def test_roots_have_scopes_of_their_own(tmp_path: Path) -> None:
    assert root_scope(tmp_path / "a") != root_scope(tmp_path / "b")
    assert len(root_scope(tmp_path)) == 8
    assert Runtime(tmp_path).scope == root_scope(tmp_path)


def test_all_lies_under_the_root(tmp_path: Path) -> None:
    runtime = Runtime(tmp_path)
    assert runtime.directory(record()) == tmp_path / "containers" / IDENTITY
    assert tmp_path in runtime.crun_root.parents
    assert runtime.network.bridge == f"ctn{runtime.scope}"


def test_the_exit_command_is_ours_unless_given_and_behind_a_lock(tmp_path: Path) -> None:
    ours = Runtime(tmp_path).exit_arguments(record())
    assert ours[0].endswith("/flock")
    assert ours[4] == str(tmp_path / "containers" / IDENTITY / "attended")
    assert ours[-3:] == ["corten.runtime.cleanup", str(tmp_path), IDENTITY]
    given = Runtime(tmp_path, ("engine", "settle")).exit_arguments(record())
    assert given[5:] == ["engine", "settle", IDENTITY]


def test_the_host_name_is_the_short_id_unless_asked_for(tmp_path: Path) -> None:
    assert hostname(record()) == IDENTITY[:12]
    assert hostname(record(hostname="h", network="host")) == "h"
    assert hostname(record(network="host")) == os.uname().nodename


def test_the_environment_names_the_host_but_the_users_word_is_last() -> None:
    assert environment(record(hostname="h")) == ("HOSTNAME=h", "A=1")


def test_isolation_follows_the_record(tmp_path: Path) -> None:
    runtime = Runtime(tmp_path)
    default = isolation(runtime, record())
    assert default.capabilities == Isolation().capabilities
    assert default.sysctls == {"net.ipv4.ping_group_range": "0 0"}
    limited = isolation(
        runtime, record(network="host", capabilities=("CAP_CHOWN",), memory=5, pids=6, cpus=0.5)
    )
    assert limited.capabilities == ("CAP_CHOWN",)
    assert limited.sysctls == {}
    assert (limited.limits.memory, limited.limits.pids, limited.limits.cpus) == (5, 6, 0.5)
    assert isolation(runtime, record(capabilities=())).capabilities == ()


def test_an_init_is_put_before_the_command_only_if_asked_for() -> None:
    process, sandbox = Process(("a", "b")), Sandbox(rootfs=())
    assert with_init(process, sandbox) == (process, sandbox)
    if not Path("/usr/bin/tini-static").exists():
        pytest.skip("tini is not installed")
    changed, around = with_init(process, Sandbox(rootfs=(), init=True))
    assert changed.args == (INIT_PATH, "--", "a", "b")
    assert around.binds[0].target == INIT_PATH
    assert around.binds[0].readonly


@pytest.mark.parametrize("key", ["", "../x", "a/b", ".", "-x", "a b", "x" * 129, "a\n"])
def test_keys_that_could_leave_the_directory_are_refused(tmp_path: Path, key: str) -> None:
    executor = CrunExecutor(tmp_path)
    with pytest.raises(Invalid, match="cannot name a run"):
        executor.run(key, Process(("x",)), Sandbox(rootfs=()), lambda *_: None, Job())
    assert not list(tmp_path.iterdir())


def test_a_cancelled_job_makes_nothing(tmp_path: Path) -> None:
    job = Job()
    job.cancel()
    with pytest.raises(Cancelled):
        CrunExecutor(tmp_path).run("k", Process(("x",)), Sandbox(rootfs=()), lambda *_: None, job)
    assert not list(tmp_path.iterdir())


def test_sweeping_where_nothing_ran_finds_nothing(tmp_path: Path) -> None:
    assert CrunExecutor(tmp_path).sweep() == 0


def test_cleaning_up_after_what_is_gone_does_nothing(tmp_path: Path) -> None:
    clean_up(tmp_path, IDENTITY)
    assert main([str(tmp_path), IDENTITY]) == 0
    assert not list(tmp_path.iterdir())
