"""What the caller of a build says about its steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from corten.builder.given import Secret
from corten.engine.step_options import StepOptions
from corten.errors import CortenError
from corten.runtime.protocols import Process, Sandbox
from corten.runtime.specification import runtime_config
from corten.runtime.users import User


def test_where_secrets_are(tmp_path: Path) -> None:
    path = str(tmp_path / "f")
    (tmp_path / "f").write_bytes(b"file\xff")
    environ = {"V": "value", "a": "x"}
    texts = (
        f"id=f,src={path}",
        f"id=t,type=file,source={path}",
        "id=v,env=V",
        "id=a",
        "id=e,type=env,src=V",
    )
    given = StepOptions(secrets=texts).given(environ)
    assert given.secrets == {
        "f": Secret(path),
        "t": Secret(path),
        "v": Secret(env="V"),
        "a": Secret(env="a"),
        "e": Secret(env="V"),
    }
    assert given.secrets["f"].read("f", environ) == b"file\xff"
    assert given.secrets["v"].read("v", environ) == b"value"
    (tmp_path / "f").write_bytes(b"x" * (500 * 1024 + 1))
    with pytest.raises(CortenError, match="more than 512000 bytes"):
        given.secrets["f"].read("f", environ)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"secrets": ("src=x",)}, "has no id"),
        ({"secrets": ("id=x,srce=y",)}, "no option 'srce'"),
        ({"secrets": ("id=no-such-thing",)}, "No such file"),
        ({"secrets": ("id=x,env=NO_SUCH",)}, "NO_SUCH is not set"),
        ({"secrets": ("id=x,src=/,",)}, "no option"),
        ({"secrets": ("id=x,src=/",)}, "is a directory"),
        ({"allow": ("security.insecur",)}, "--allow has no"),
        ({"add_hosts": ("x",)}, "is no IP address"),
        ({"add_hosts": ("x y:1.2.3.4",)}, "names no host"),
        ({"ulimits": ("nofil=1",)}, "there is no limit 'nofil'"),
        ({"ulimits": ("nofile=x",)}, "is no number"),
        ({"ulimits": ("nofile=2:1",)}, "soft limit is above"),
        ({"memory": 2, "memory_swap": 1}, "--memory-swap is less"),
    ],
)
def test_what_is_wrong(options: dict[str, tuple[str, ...]], message: str) -> None:
    steps = StepOptions(**options)  # type: ignore[arg-type]
    with pytest.raises(CortenError, match=message):
        steps.given({})
        steps.hosts()
        steps.isolation()


def test_hosts_are_names_and_addresses() -> None:
    texts = ("a:1.2.3.4", "b=::1", "c:[fe80::1]", "d:host-gateway")
    assert StepOptions(add_hosts=texts).hosts() == (
        "a=1.2.3.4",
        "b=::1",
        "c=fe80::1",
        "d=127.0.0.1",
    )


def test_limits_reach_the_runtime() -> None:
    isolation = StepOptions(
        ulimits=("nofile=10:20", "core=-1"),
        shm_size=1 << 20,
        memory=1 << 29,
        memory_swap=1 << 30,
        cpu_shares=512,
        cpu_quota=50000,
        cpu_period=100000,
        cpuset_cpus="0",
    ).isolation()
    config = runtime_config(Process(("x",)), Sandbox(()), User(0, 0), "/r", isolation)
    limits = {each["type"]: (each["soft"], each["hard"]) for each in config["process"]["rlimits"]}
    assert limits == {"RLIMIT_NOFILE": (10, 20), "RLIMIT_CORE": (2**64 - 1, 2**64 - 1)}
    resources = config["linux"]["resources"]
    assert resources["memory"] == {"limit": 1 << 29, "swap": 1 << 30}
    assert resources["cpu"] == {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0"}
    shm = next(each for each in config["mounts"] if each["destination"] == "/dev/shm")
    assert f"size={1 << 20}" in shm["options"]
