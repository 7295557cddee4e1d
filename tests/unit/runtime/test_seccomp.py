"""The seccomp profile: what is allowed, by which conditions, with which capabilities."""

import json
from pathlib import Path
from typing import Any

import pytest

from corten.runtime.capabilities import ALL_CAPABILITIES, DEFAULT_CAPABILITIES
from corten.runtime.seccomp import ENOSYS, profile_document, seccomp_profile

ALLOW, ERRNO = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"
PODMAN = Path("/usr/share/containers/seccomp.json")


def rules(profile: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [rule for rule in profile["syscalls"] if name in rule["names"]]


def plainly_allowed(profile: dict[str, Any]) -> set[str]:
    return {
        name
        for rule in profile["syscalls"]
        if rule["action"] == ALLOW and "args" not in rule
        for name in rule["names"]
    }


@pytest.fixture
def profile() -> dict[str, Any]:
    return seccomp_profile(DEFAULT_CAPABILITIES, "x86_64")


def test_what_is_not_listed_fails_as_on_an_older_kernel(profile: dict[str, Any]) -> None:
    assert profile["defaultAction"] == ERRNO
    assert profile["defaultErrnoRet"] == ENOSYS


@pytest.mark.parametrize(
    "name",
    [
        "mount",
        "umount2",
        "unshare",
        "setns",
        "pivot_root",
        "bpf",
        "perf_event_open",
        "init_module",
        "kexec_load",
        "reboot",
        "open_by_handle_at",
        "swapon",
        "add_key",
        "keyctl",
        "request_key",
        "userfaultfd",
        "io_uring_setup",
        "clock_settime",
        "settimeofday",
        "iopl",
        "ioperm",
        "fsopen",
        "move_mount",
        "open_tree",
        "sethostname",
        "acct",
    ],
)
def test_what_reaches_beyond_the_container_is_refused(profile: dict[str, Any], name: str) -> None:
    found = rules(profile, name)
    assert [rule["action"] for rule in found] == [ERRNO]
    assert found[0]["errnoRet"] == 1


@pytest.mark.parametrize(
    "name",
    [
        "read",
        "write",
        "openat",
        "execve",
        "fork",
        "vfork",
        "wait4",
        "mmap",
        "futex",
        "epoll_wait",
        "clock_gettime",
        "getrandom",
        "statx",
        "renameat2",
        "rseq",
        "openat2",
        "close_range",
        "faccessat2",
        "landlock_create_ruleset",
        "ptrace",
        "arch_prctl",
        "chroot",
        "kill",
        "setuid",
        "chown",
        "mknod",
    ],
)
def test_what_programs_need_is_allowed(profile: dict[str, Any], name: str) -> None:
    assert [rule["action"] for rule in rules(profile, name)] == [ALLOW]


def test_no_call_is_both_allowed_and_refused_without_a_condition(profile: dict[str, Any]) -> None:
    for machine in profile_document()["architectures"]:
        for capabilities in (DEFAULT_CAPABILITIES, ALL_CAPABILITIES, ()):
            made = seccomp_profile(capabilities, machine)
            refused = {
                name
                for rule in made["syscalls"]
                if rule["action"] == ERRNO and "args" not in rule
                for name in rule["names"]
            }
            assert not refused & plainly_allowed(made)


def test_clone_may_make_threads_but_no_namespaces(profile: dict[str, Any]) -> None:
    (rule,) = rules(profile, "clone")
    flags = {"NEWNS": 0x20000, "NEWCGROUP": 0x2000000, "NEWUTS": 0x4000000, "NEWIPC": 0x8000000}
    flags |= {"NEWUSER": 0x10000000, "NEWPID": 0x20000000, "NEWNET": 0x40000000}
    (argument,) = rule["args"]
    assert argument["op"] == "SCMP_CMP_MASKED_EQ"
    assert argument["value"] == sum(flags.values())
    assert (argument["index"], argument["valueTwo"]) == (0, 0)
    (hidden,) = rules(profile, "clone3")
    assert (hidden["action"], hidden["errnoRet"]) == (ERRNO, ENOSYS)


def test_the_flags_of_clone_are_its_second_argument_on_s390x() -> None:
    (rule,) = rules(seccomp_profile(DEFAULT_CAPABILITIES, "s390x"), "clone")
    assert rule["args"][0]["index"] == 1


def test_personality_cannot_turn_randomisation_off(profile: dict[str, Any]) -> None:
    found = rules(profile, "personality")
    assert {rule["args"][0]["value"] for rule in found} == {0, 8, 0x20000, 0x20008, 0xFFFFFFFF}
    assert all(rule["args"][0]["op"] == "SCMP_CMP_EQ" for rule in found)
    assert not any(rule["args"][0]["value"] & 0x0040000 for rule in found[:4])


def _holds(condition: dict[str, Any], values: dict[int, int]) -> bool:
    value, wanted = values[condition["index"]], condition["value"]
    match condition["op"]:
        case "SCMP_CMP_EQ":
            return bool(value == wanted)
        case "SCMP_CMP_NE":
            return bool(value != wanted)
        case "SCMP_CMP_MASKED_EQ":
            return bool(value & wanted == condition["valueTwo"])
    raise AssertionError(condition["op"])


def _socket(profile: dict[str, Any], family: int, protocol: int) -> str:
    """What a filter of these rules answers: the rule whose conditions all hold."""
    values = {0: family, 2: protocol}
    for rule in rules(profile, "socket"):
        if all(_holds(condition, values) for condition in rule["args"]):
            return str(rule["action"])
    return str(profile["defaultAction"])


def test_sockets_of_all_families_but_one_are_allowed(profile: dict[str, Any]) -> None:
    allowed = {family for family in range(200) if _socket(profile, family, 0) == ALLOW}
    assert allowed == set(range(64)) - {40}


def test_sockets_to_the_hypervisor_and_of_the_audit_are_not(profile: dict[str, Any]) -> None:
    assert _socket(profile, 40, 0) == ERRNO
    assert _socket(profile, 16, 9) == ERRNO
    assert _socket(profile, 16, 0) == ALLOW
    with_audit = seccomp_profile((*DEFAULT_CAPABILITIES, "CAP_AUDIT_WRITE"), "x86_64")
    assert _socket(with_audit, 16, 9) == ALLOW
    # The kernel sees the low 32 bits alone.
    assert _socket(profile, 16, 9 | 1 << 32) == ERRNO
    assert _socket(profile, 16, 15 | 1 << 32) == ALLOW
    assert _socket(with_audit, 40, 0) == ERRNO


def test_no_rule_compares_an_argument_twice(profile: dict[str, Any]) -> None:
    # libseccomp refuses such a rule.
    for rule in profile["syscalls"]:
        indices = [argument["index"] for argument in rule.get("args", [])]
        assert len(indices) == len(set(indices))


def test_a_capability_opens_its_calls() -> None:
    admin = seccomp_profile(ALL_CAPABILITIES, "x86_64")
    for name in ("mount", "clone", "clone3", "unshare", "bpf", "open_by_handle_at", "init_module"):
        assert name in plainly_allowed(admin)
    without = seccomp_profile((), "x86_64")
    assert rules(without, "chroot")[0]["action"] == ERRNO


def test_the_architecture_decides_over_its_own_calls() -> None:
    arm = seccomp_profile(DEFAULT_CAPABILITIES, "aarch64")
    assert arm["architectures"] == ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
    assert "cacheflush" in plainly_allowed(arm)
    assert "arch_prctl" not in plainly_allowed(arm)
    assert seccomp_profile((), "unheard-of")["architectures"] == []


def test_the_same_arguments_give_the_same_bytes() -> None:
    first = json.dumps(seccomp_profile(DEFAULT_CAPABILITIES, "x86_64"))
    assert first == json.dumps(seccomp_profile(tuple(reversed(DEFAULT_CAPABILITIES)), "x86_64"))


def test_nothing_is_allowed_that_podman_does_not_allow(profile: dict[str, Any]) -> None:
    if not PODMAN.exists():
        pytest.skip("podman's profile is not installed")
    podman = json.loads(PODMAN.read_text())
    allowed = {
        name for rule in podman["syscalls"] if rule["action"] == ALLOW for name in rule["names"]
    }
    # Newer than Debian's list, or acting on the caller's own processes alone; see seccomp.py.
    known = {
        "fchmodat2", "futex_requeue", "futex_wait", "futex_waitv", "futex_wake", "io_pgetevents",
        "io_pgetevents_time64", "map_shadow_stack", "mseal", "process_madvise",
        "set_mempolicy_home_node", "vmsplice",
    }  # fmt: skip
    assert plainly_allowed(profile) - allowed <= known
