"""Which control groups there are, from mountinfo texts of real machines."""

from pathlib import Path

from corten.system.cgroup import (
    CgroupMode,
    cgroup_mode,
    cgroup_path,
    cgroup_processes,
    crun_options,
    hybrid_trees,
    remove_cgroup,
)

ROOT = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
UNIFIED = ROOT + "30 22 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
LEGACY = (
    ROOT
    + "30 22 0:26 / /sys/fs/cgroup ro shared:4 - tmpfs tmpfs ro,mode=755\n"
    + "31 30 0:27 / /sys/fs/cgroup/memory rw shared:5 - cgroup cgroup rw,memory\n"
    + "32 30 0:28 / /sys/fs/cgroup/pids rw shared:6 - cgroup cgroup rw,pids\n"
)
HYBRID = LEGACY + "33 30 0:29 / /sys/fs/cgroup/unified rw shared:7 - cgroup2 cgroup2 rw\n"
HIDDEN = HYBRID + "99 33 0:55 / /sys/fs/cgroup/unified rw - tmpfs tmpfs rw,size=1024k\n"


def test_each_arrangement_is_recognised() -> None:
    assert cgroup_mode(UNIFIED) is CgroupMode.UNIFIED
    assert cgroup_mode(LEGACY) is CgroupMode.LEGACY
    assert cgroup_mode(HYBRID) is CgroupMode.HYBRID
    assert cgroup_mode(ROOT) is CgroupMode.NONE


def test_a_hybrid_tree_that_is_covered_leaves_the_legacy_arrangement() -> None:
    assert cgroup_mode(HIDDEN) is CgroupMode.LEGACY


def test_only_a_hybrid_arrangement_has_trees_to_hide() -> None:
    assert hybrid_trees(HYBRID) == ("/sys/fs/cgroup/unified",)
    assert hybrid_trees(UNIFIED) == hybrid_trees(LEGACY) == hybrid_trees(HIDDEN) == ()


def test_optional_fields_of_mountinfo_may_be_missing() -> None:
    text = "30 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\nnonsense\n\n"
    assert cgroup_mode(text) is CgroupMode.UNIFIED


def test_this_machine_has_some_arrangement() -> None:
    assert cgroup_mode() in CgroupMode


def test_crun_is_told_to_leave_systemd_alone() -> None:
    assert crun_options(CgroupMode.UNIFIED) == ("--cgroup-manager", "cgroupfs")
    assert crun_options(CgroupMode.LEGACY) == ("--cgroup-manager", "cgroupfs")
    assert crun_options(CgroupMode.NONE) == ("--cgroup-manager", "disabled")


def test_a_group_has_no_parent_of_ours() -> None:
    assert cgroup_path("abc") == "/corten-abc"


def test_processes_are_collected_from_all_hierarchies_and_below(tmp_path: Path) -> None:
    for name, pids in (("memory", "12\n13\n"), ("pids", "12\n")):
        group = tmp_path / name / "corten-x"
        (group / "inner").mkdir(parents=True)
        (group / "cgroup.procs").write_text(pids)
        (group / "inner" / "cgroup.procs").write_text("14\n")
    hierarchies = [str(tmp_path / "memory"), str(tmp_path / "pids"), str(tmp_path / "none")]
    assert cgroup_processes("x", hierarchies) == {12, 13, 14}
    assert cgroup_processes("y", hierarchies) == set()


def test_groups_are_removed_from_the_inside_and_only_ours(tmp_path: Path) -> None:
    for name in ("memory", "pids"):
        (tmp_path / name / "corten-x" / "a" / "b").mkdir(parents=True)
        (tmp_path / name / "corten-xy").mkdir()
    remove_cgroup("x", [str(tmp_path / "memory"), str(tmp_path / "pids")])
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*"))
    assert left == ["memory/corten-xy", "pids/corten-xy"]


def test_a_group_in_use_stays_without_an_error(tmp_path: Path) -> None:
    group = tmp_path / "corten-x"
    group.mkdir()
    (group / "busy").write_text("")
    remove_cgroup("x", [str(tmp_path)])
    assert group.exists()
