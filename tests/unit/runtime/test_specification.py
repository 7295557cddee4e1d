"""Generated runtime configurations: valid by the schema, strict by default."""

import json
from typing import Any

import msgspec
import pytest

from corten.errors import Invalid
from corten.runtime.capabilities import DEFAULT_CAPABILITIES
from corten.runtime.protocols import Bind, Process, Sandbox
from corten.runtime.specification import (
    MASKED_PATHS,
    READONLY_PATHS,
    Isolation,
    Limits,
    environment,
    process_config,
    runtime_config,
)
from corten.runtime.users import User
from support.schemas import validate

ROOT = User(0, 0, home="/root", name="root")
APP = User(1000, 1000, (29, 44), "/home/app", "app")
PROCESS = Process(("echo", "hi"))
SANDBOX = Sandbox(rootfs=())


def config(
    process: Process = PROCESS,
    sandbox: Sandbox = SANDBOX,
    user: User = ROOT,
    isolation: Isolation | None = None,
) -> dict[str, Any]:
    made = runtime_config(process, sandbox, user, "/rootfs", isolation)
    return json.loads(json.dumps(made))  # type: ignore[no-any-return]


def mounts(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {mount["destination"]: mount for mount in document["mounts"]}


EVERYTHING = Isolation(
    no_new_privileges=True,
    cgroup="/corten-x",
    limits=Limits(memory=1 << 28, cpus=1.5, pids=100, rlimits={"NOFILE": (100, 200)}),
    sysctls={"net.ipv4.ping_group_range": "0 0"},
)


@pytest.mark.parametrize("user", [ROOT, APP])
@pytest.mark.parametrize("network", ["host", "none", "/run/netns/x"])
@pytest.mark.parametrize("isolation", [None, EVERYTHING, Isolation(seccomp=False)])
@pytest.mark.parametrize("privileged", [False, True])
def test_configurations_are_valid_by_the_specifications_schema(
    user: User, network: str, isolation: Isolation | None, privileged: bool
) -> None:
    sandbox = Sandbox(
        rootfs=(),
        binds=(Bind("/a", "/b", True), Bind("/t", type="tmpfs", options=("size=1m",))),
        network=network,
        hostname="h",
        resolv_conf="/x/resolv.conf",
        hosts="/x/hosts",
        privileged=privileged,
        readonly=True,
    )
    process = Process(("a",), ("X=1",), "/tmp", tty=True)
    document = config(process, sandbox, user, isolation)
    validate(document, "oci-runtime", "config-schema.json")


def test_the_process_is_what_was_asked_for() -> None:
    process = config(Process(("a", "b"), ("X=1",), "/work", tty=True), user=APP)["process"]
    assert process["args"] == ["a", "b"]
    assert process["cwd"] == "/work"
    assert process["terminal"] is True
    assert process["user"]["uid"] == process["user"]["gid"] == 1000
    assert process["user"]["additionalGids"] == [29, 44]


def test_root_gets_the_default_capabilities_and_others_none_in_effect() -> None:
    capabilities = config()["process"]["capabilities"]
    assert capabilities["effective"] == capabilities["bounding"] == sorted(DEFAULT_CAPABILITIES)
    assert "inheritable" not in capabilities
    other = config(user=APP)["process"]["capabilities"]
    assert other["effective"] == other["permitted"] == []
    assert other["bounding"] == sorted(DEFAULT_CAPABILITIES)


def test_an_unknown_capability_is_refused() -> None:
    with pytest.raises(Invalid, match="CAP_NONSENSE"):
        config(isolation=Isolation(capabilities=("CAP_NONSENSE",)))


def test_namespaces_are_new_and_the_network_is_as_asked() -> None:
    def namespaces(network: str) -> dict[str, str]:
        made = config(sandbox=Sandbox(rootfs=(), network=network))["linux"]["namespaces"]
        return {n["type"]: n.get("path", "") for n in made}

    always = {"pid": "", "ipc": "", "uts": "", "mount": "", "cgroup": ""}
    assert namespaces("host") == always
    assert namespaces("none") == always | {"network": ""}
    assert namespaces("/n/x") == always | {"network": "/n/x"}
    with pytest.raises(Invalid, match="absolute"):
        namespaces("bridge")


def test_paths_that_tell_of_the_host_are_masked_and_others_readonly() -> None:
    linux = config()["linux"]
    assert linux["maskedPaths"] == list(MASKED_PATHS)
    assert linux["readonlyPaths"] == list(READONLY_PATHS)
    assert {"/proc/kcore", "/proc/keys", "/sys/firmware", "/proc/acpi"} <= set(MASKED_PATHS)
    assert {"/proc/sys", "/proc/sysrq-trigger"} <= set(READONLY_PATHS)


def test_privileged_lifts_masks_seccomp_and_device_rules() -> None:
    linux = config(sandbox=Sandbox(rootfs=(), privileged=True))["linux"]
    assert not {"maskedPaths", "readonlyPaths", "seccomp"} & linux.keys()
    assert linux["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    assert (
        "ro" not in mounts(config(sandbox=Sandbox(rootfs=(), privileged=True)))["/sys"]["options"]
    )


def test_devices_are_denied_but_for_the_harmless_ones() -> None:
    rules = config()["linux"]["resources"]["devices"]
    assert rules[0] == {"allow": False, "access": "rwm"}
    usable = {(r.get("major"), r.get("minor")) for r in rules[1:] if "r" in r["access"]}
    assert usable == {(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2), (136, None)}


def test_kernel_file_systems_are_hidden_or_readonly() -> None:
    made = mounts(config(isolation=Isolation(cgroup="/c")))
    for target in ("/sys", "/sys/fs/cgroup"):
        assert {"ro", "nosuid", "noexec", "nodev"} <= set(made[target]["options"])
    assert {"nosuid", "noexec", "nodev"} <= set(made["/proc"]["options"])
    assert made["/sys"]["type"] == "sysfs"
    assert {"noexec", "nodev", "size=67108864"} <= set(made["/dev/shm"]["options"])


def test_without_control_groups_none_are_shown() -> None:
    document = config()
    assert "/sys/fs/cgroup" not in mounts(document)
    assert "cgroupsPath" not in document["linux"]


def test_files_of_etc_are_mounted_only_if_given() -> None:
    assert not [target for target in mounts(config()) if target.startswith("/etc")]
    made = mounts(config(sandbox=Sandbox(rootfs=(), hosts="/h", resolv_conf="/r")))
    assert made["/etc/hosts"]["source"] == "/h"
    assert made["/etc/resolv.conf"]["source"] == "/r"


def test_binds_come_after_the_kernels_mounts_and_outer_before_inner() -> None:
    binds = (Bind("/a/b/c", "/1"), Bind("/a", "/2"), Bind("/a/b", "/3", readonly=True))
    order = [m["destination"] for m in config(sandbox=Sandbox(rootfs=(), binds=binds))["mounts"]]
    assert order[-3:] == ["/a", "/a/b", "/a/b/c"]
    made = mounts(config(sandbox=Sandbox(rootfs=(), binds=binds)))
    assert "ro" in made["/a/b"]["options"]
    assert "ro" not in made["/a"]["options"]
    assert "rbind" in made["/a"]["options"]


@pytest.mark.parametrize(
    ("bind", "message"),
    [
        (Bind("relative", "/x"), "mount target"),
        (Bind("/x", "relative"), "mount source"),
        (Bind("/", "/x"), "root"),
        (Bind("///", "/x"), "root"),
        (Bind("/a/../..", "/x"), "root"),
        (Bind("/x", "/y", type="nfs"), "nfs"),
    ],
)
def test_senseless_binds_are_refused(bind: Bind, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        config(sandbox=Sandbox(rootfs=(), binds=(bind,)))


def test_a_command_is_needed() -> None:
    with pytest.raises(Invalid, match="no command"):
        config(Process(()))


@pytest.mark.parametrize(
    "process",
    [Process(("a\0b",)), Process(("a",), ("X=\0",)), Process(("a",), (), "/\0")],
)
def test_zero_bytes_are_refused(process: Process) -> None:
    with pytest.raises(Invalid, match="zero byte"):
        config(process)


def test_a_relative_working_directory_is_refused_and_none_is_the_root() -> None:
    with pytest.raises(Invalid, match="working directory"):
        config(Process(("a",), cwd="here"))
    assert config(Process(("a",), cwd=""))["process"]["cwd"] == "/"


def test_environment_defaults_fill_in_but_never_replace() -> None:
    assert environment(Process(("a",), ("A=1", "B=2", "A=3")), ROOT) == [
        "B=2",
        "A=3",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME=/root",
    ]
    own = ("PATH=/p", "HOME=/h", "TERM=t")
    assert environment(Process(("a",), own, tty=True), APP) == list(own)
    assert "TERM=xterm" in environment(Process(("a",), tty=True), APP)
    assert "HOME=/home/app" in environment(Process(("a",)), APP)


def test_limits_appear_only_if_set() -> None:
    assert set(config()["linux"]["resources"]) == {"devices"}
    assert "rlimits" not in config()["process"]
    resources = config(isolation=EVERYTHING)["linux"]["resources"]
    assert resources["memory"]["limit"] == 1 << 28
    assert resources["cpu"] == {"period": 100_000, "quota": 150_000}
    assert resources["pids"] == {"limit": 100}
    limits = config(isolation=EVERYTHING)["process"]["rlimits"]
    assert limits == [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]


def test_an_exec_gets_the_same_process_object_as_the_first_process() -> None:
    whole = config(user=APP)["process"]
    alone = process_config(PROCESS, SANDBOX, APP, Isolation())
    assert json.loads(json.dumps(alone)) == whole


def test_privileges_can_be_frozen() -> None:
    assert config()["process"]["noNewPrivileges"] is False
    frozen = config(isolation=msgspec.structs.replace(Isolation(), no_new_privileges=True))
    assert frozen["process"]["noNewPrivileges"] is True
