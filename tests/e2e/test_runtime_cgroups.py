"""Containers under other arrangements of control groups than this machine's.

A private mount namespace shows the commands version 1 alone, or version 2 alone.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from corten.system.cgroup import CgroupMode, cgroup_mode
from support import busybox
from support.commands import environment

pytestmark = [
    pytest.mark.root,
    pytest.mark.e2e,
    pytest.mark.skipif(cgroup_mode() is not CgroupMode.HYBRID, reason="needs both versions"),
]

ARRANGE = {
    "legacy": "umount /sys/fs/cgroup/unified",
    "unified": "umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup",
}
GROUPS = Path("/sys/fs/cgroup")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cgroups")
    busybox.build(folder / "root", folder / "context")
    return folder / "root"


def arranged(mode: str, script: str, root: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell script, in which $C is corten, under the arrangement."""
    return subprocess.run(
        ["unshare", "--mount", "bash", "-ec", f"{ARRANGE[mode]}\n{script}"],
        env=environment(root, C=f"{sys.executable} -m corten"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def groups() -> set[str]:
    """Control groups of containers (build steps have longer names)."""
    return {str(path) for path in GROUPS.glob("*/corten-*") if len(path.name) == 7 + 64}


# Rules for devices are a program in the kernel under version 2, for which crun raises a limit that
# machines without CAP_SYS_RESOURCE do not let it raise: a privileged container has no such rules.
@pytest.mark.parametrize(("mode", "flags"), [("legacy", ""), ("unified", "--privileged")])
def test_a_container_lives_and_leaves_no_group(root: Path, mode: str, flags: str) -> None:
    before = groups()
    script = f"""
        $C info --format '{{{{.ControlGroups}}}}' || $C info
        $C run --rm --network=none {flags} busybox echo ran
        $C run -d --network=none {flags} --name long busybox sleep 60
        $C exec long echo inside
        $C rm -f long
    """
    done = arranged(mode, script, root)
    assert done.returncode == 0, done.stderr
    assert mode in done.stdout
    assert "ran\n" in done.stdout
    assert "inside\n" in done.stdout
    assert groups() <= before


def test_a_start_that_crun_refuses_leaves_no_group(root: Path) -> None:
    before = groups()
    done = arranged("unified", "$C run --rm --network=none busybox echo ran", root)
    assert (done.returncode, done.stdout) in [(0, "ran\n"), (125, "")]
    assert groups() <= before
