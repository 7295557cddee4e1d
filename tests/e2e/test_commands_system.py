"""inspect of containers, system df and system prune as commands."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.builder.cache import BuildCache
from support import busybox
from support.commands import corten

pytestmark = [pytest.mark.root, pytest.mark.e2e]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    root = tmp_path / "root"
    busybox.build(root, tmp_path / "context")
    yield root
    left = corten("ps", "-aq", root=root).stdout.split()
    if left:
        corten("rm", "-f", *left, root=root)


def ok(*arguments: str, root: Path) -> str:
    """Standard output of a command that must succeed."""
    done = corten(*arguments, root=root)
    assert done.returncode == 0, done.stderr
    return done.stdout


def size_of(root: Path) -> int:
    """Bytes of all files below `root`, each once however many names it has."""
    found = {(s.st_dev, s.st_ino): s.st_size for s in (p.lstat() for p in root.rglob("*"))}
    return sum(found.values())


def test_inspect_shows_what_was_asked_for_and_what_is(root: Path) -> None:
    flags = (
        "-p",
        "127.0.0.1::80",
        "-e",
        "A=1",
        "-v",
        "data:/data:ro",
        "-m",
        "64m",
        "--cpus",
        "0.5",
    )
    identity = ok(
        *("run", "-d", "--name", "web", "-l", "x=y", *flags, "busybox", "sleep", "99"), root=root
    ).strip()
    (seen,) = json.loads(ok("inspect", "web", root=root))
    assert (seen["Id"], seen["Name"]) == (identity, "/web")
    assert (seen["Path"], seen["Args"]) == ("sleep", ["99"])
    assert seen["State"]["Running"] is True
    assert Path(f"/proc/{seen['State']['Pid']}/comm").read_text() == "sleep\n"
    assert seen["Config"]["Labels"] == {"x": "y"}
    assert "A=1" in seen["Config"]["Env"]
    (mount,) = seen["Mounts"]
    assert (mount["Destination"], mount["RW"]) == ("/data", False)
    assert seen["HostConfig"]["Memory"] == 64 << 20
    assert seen["HostConfig"]["NanoCpus"] == 500_000_000
    assert seen["HostConfig"]["PortBindings"] == {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "0"}]
    }
    (bound,) = seen["NetworkSettings"]["Ports"]["80/tcp"]
    assert int(bound["HostPort"]) > 0
    assert seen["NetworkSettings"]["IPAddress"].count(".") == 3
    ok("kill", "web", root=root)
    ok("wait", "web", root=root)
    state = json.loads(ok("inspect", "-f", "{{json .State}}", "web", root=root))
    assert (state["Status"], state["ExitCode"], state["Pid"]) == ("exited", 137, 0)
    assert state["FinishedAt"] > state["StartedAt"]


def test_inspect_prefers_the_container_unless_told_otherwise(root: Path) -> None:
    identity = ok("create", "--name", "busybox", "busybox", root=root).strip()
    image = ok("images", "-q", "--no-trunc", root=root).strip()
    assert ok("inspect", "-f", "{{.Id}}", "busybox", root=root).strip() == identity
    assert ok("inspect", "--type=image", "-f", "{{.Id}}", "busybox", root=root).strip() == image
    assert ok("container", "inspect", "-f", "{{.Image}}", "busybox", root=root).strip() == image
    done = corten("inspect", "nothing", root=root)
    assert (done.returncode, done.stdout) == (1, "[]\n")
    assert done.stderr.startswith("corten: no container or image 'nothing' here\n")


def test_df_counts_what_there_is(root: Path) -> None:
    ok("create", "-v", "named:/v", "busybox", root=root)
    rows = {
        row["Type"]: row
        for row in map(json.loads, ok("system", "df", "--format", "json", root=root).splitlines())
    }
    assert (rows["Images"]["TotalCount"], rows["Images"]["Active"]) == ("1", "1")
    assert rows["Images"]["Reclaimable"].startswith("0B")
    assert (rows["Containers"]["TotalCount"], rows["Containers"]["Active"]) == ("1", "0")
    assert (rows["Volumes"]["TotalCount"], rows["Volumes"]["Active"]) == ("1", "1")
    assert ok("system", "df", root=root).splitlines()[0].split() == [
        *("TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE")
    ]


@pytest.mark.parametrize("words", [("rmi",), ("rmi", "--force")])
def test_rmi_frees_the_disk_at_once(root: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "large").write_bytes(os.urandom(3_000_000))
    archive = tmp_path / "large.tar"
    subprocess.run(["tar", "-cf", archive, "-C", tmp_path, "large"], check=True)
    before = size_of(root)
    ok("import", str(archive), "large:1", root=root)
    assert size_of(root) > before + 3_000_000
    assert "Deleted: " in ok(*words, "large:1", root=root)
    assert size_of(root) < before + 100_000


def test_gc_says_what_it_spares(root: Path) -> None:
    ok("rmi", "--no-prune", "busybox", root=root)
    partial = root / "content/ingest" / f"sha256-{'0' * 64}.part"
    partial.write_bytes(b"half")
    said = ok("gc", "--cache", root=root)
    assert "Spared " in said
    assert "Kept " in said
    assert said.count("--grace 0") == 2
    assert partial.exists()
    said = ok("gc", "--cache", "--grace", "0", root=root)
    assert "Spared" not in said
    assert "Kept" not in said
    assert not partial.exists()
    assert list((root / "content/blobs/sha256").iterdir()) == []


def cached(root: Path) -> int:
    """How many layers the build cache holds."""
    with BuildCache(root / "cache") as cache:
        return len(cache.layers())


def test_prune_removes_what_is_not_in_use_and_nothing_else(root: Path, tmp_path: Path) -> None:
    ok("run", "-d", "--name", "busy", "busybox", "sleep", "99", root=root)
    stopped = ok("create", "--name", "idle", "busybox", root=root).strip()
    (tmp_path / "Dockerfile").write_text("FROM busybox\nLABEL a=b\n")
    dangling = ok("build", "-q", str(tmp_path), root=root).strip()
    ok("tag", "busybox", "x/name", root=root)
    assert corten("system", "prune", root=root).returncode == 2  # nobody to ask
    said = ok("system", "prune", "--force", root=root)
    assert said.splitlines()[:5] == [
        *("Deleted containers:", stopped, "", "Deleted images:", dangling)
    ]
    assert "Total reclaimed space: " in said
    assert ok("ps", "-a", "--format", "{{.Names}}", root=root) == "busy\n"
    assert ok("images", "-q", root=root).count("\n") == 2
    ok("rm", "-f", "busy", root=root)
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN echo 1 > /one\n")
    ok("rmi", ok("build", "-q", str(tmp_path), root=root).strip(), root=root)
    assert cached(root) > 0
    ok("system", "prune", "-f", root=root)
    assert cached(root) > 0  # what is built again soon is not built anew
    ok("system", "prune", "-af", root=root)
    assert cached(root) == 0
    assert ok("images", "-q", root=root) == ""
