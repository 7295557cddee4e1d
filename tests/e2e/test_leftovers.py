"""What killed commands leave is given back by the next build or collection."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.config.settings import Settings
from corten.engine.containers import create
from corten.engine.creation import ContainerOptions
from corten.engine.host import Host
from corten.engine.images import remove, tag
from corten.engine.lookup import LayerMissing, find_image, image_for, prepare
from corten.engine.system import collect
from corten.errors import NotFound, Unavailable
from corten.events.job import Job
from corten.runtime.crun import root_scope
from support import busybox
from support.commands import corten, environment

pytestmark = [pytest.mark.root, pytest.mark.e2e]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    busybox.build(tmp_path / "root", tmp_path / "base")
    return tmp_path / "root"


def killed_build(root: Path, tmp_path: Path) -> str:
    """Kill a build with SIGKILL in the middle of its RUN; returns what its command line has."""
    mark = f"31{os.getpid()}"
    context = tmp_path / "slow"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM busybox\nRUN sleep {mark}\n")
    build = subprocess.Popen(
        [sys.executable, "-m", "corten", "build", str(context)],
        env=environment(root),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 30
        while not running(mark):
            assert time.monotonic() < end, "the step did not begin"
            time.sleep(0.05)
    finally:
        build.send_signal(signal.SIGKILL)
        build.wait()
    return mark


def running(mark: str) -> list[str]:
    """Process ids of ``sleep MARK``."""
    wanted = f"sleep\0{mark}\0".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if process.read_bytes() == wanted:
                found.append(process.parent.name)
        except OSError:
            continue
    return found


def gone(mark: str) -> bool:
    end = time.monotonic() + 10
    while running(mark) and time.monotonic() < end:
        time.sleep(0.05)
    return not running(mark)


def test_gc_ends_the_step_of_a_killed_build_and_removes_its_snapshot(
    root: Path, tmp_path: Path
) -> None:
    mark = killed_build(root, tmp_path)
    assert list((root / "snapshots").glob("build-*"))
    (snapshot,) = (root / "snapshots").glob("build-*")
    (step,) = (root / "run" / "steps").glob("*")
    done = corten("gc", root=root)
    assert done.returncode == 0, done.stderr
    removed = done.stdout.partition(" of killed commands:\n")[2].split()
    assert {f"snapshots/{snapshot.name}", f"run/steps/{step.name}"} <= set(removed)
    assert [Path(path).suffix for path in removed].count(".lease") == 1
    assert f"\nRemoved {len(removed)} leftovers of" in done.stdout
    assert "leftovers of" not in corten("gc", root=root).stdout
    assert gone(mark)
    assert not list((root / "snapshots").glob("build-*"))
    assert not list((root / "run" / "steps").glob("*"))


def test_a_repair_ends_it_and_leaves_nothing_to_find(root: Path, tmp_path: Path) -> None:
    mark = killed_build(root, tmp_path)
    (snapshot,) = (root / "snapshots").glob("build-*")
    found = corten("system", "check", root=root)
    assert "may go on running" in found.stdout
    assert f"leftover snapshots/{snapshot.name}: no container and no build uses it" in found.stdout
    assert found.stdout.count("lease ") == 1
    # In nobody's way, so it is no damage.
    assert "all is well, " in found.stdout
    assert found.returncode == 0
    assert running(mark)
    mended = corten("system", "check", "--repair", root=root)
    assert mended.returncode == 0, mended.stdout
    assert gone(mark)
    assert not list((root / "snapshots").glob("build-*"))
    assert not list((root / "run" / "steps").glob("*"))
    assert not list(Path("/sys/fs/cgroup").glob(f"**/*{root_scope(root)}-build-run-*"))
    again = corten("system", "check", root=root)
    assert (again.returncode, again.stdout.count("leftover")) == (0, 0), again.stdout


def test_the_next_build_ends_it_too(root: Path, tmp_path: Path) -> None:
    mark = killed_build(root, tmp_path)
    (tmp_path / "slow" / "Dockerfile").write_text("FROM busybox\nRUN true\n")
    done = corten("build", "-q", str(tmp_path / "slow"), root=root)
    assert done.returncode == 0, done.stderr
    assert gone(mark)


def test_gc_leaves_a_living_build_alone(root: Path, tmp_path: Path) -> None:
    context = tmp_path / "living"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM busybox\nRUN sleep 2; echo done > /made\n")
    build = subprocess.Popen(
        [sys.executable, "-m", "corten", "build", "-q", "-t", "living", str(context)],
        env=environment(root),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list((root / "snapshots").glob("build-run-*")) and build.poll() is None:
        time.sleep(0.02)
    assert corten("gc", "--grace", "0", root=root).returncode == 0
    _, said = build.communicate(timeout=60)
    assert build.returncode == 0, said
    assert corten("run", "--rm", "living", "cat", "/made", root=root).stdout == "done\n"


def test_nobody_else_looks_into_the_store(root: Path) -> None:
    assert root.stat().st_mode & 0o077 == 0


def test_an_image_that_is_not_here_is_said_to_be_not_here(root: Path) -> None:
    done = corten("run", "127.0.0.1:1/no/such", root=root)
    assert done.returncode == 125
    assert "no image '127.0.0.1:1/no/such' here, and it cannot be pulled" in done.stderr


@pytest.fixture
def host(root: Path) -> Iterator[Host]:
    with Host(Settings(root)) as made:
        yield made


def test_a_snapshot_whose_container_was_never_made_goes(host: Host) -> None:
    layers = find_image(host, "busybox").config.diff_ids
    host.snapshotter.prepare("a" * 64, layers)
    with host.store.lease():
        collect(host)
        assert [s.key for s in host.snapshotter.walk()] == ["a" * 64]
    collect(host)
    assert list(host.snapshotter.walk()) == []


def test_a_container_keeps_its_snapshot(host: Host) -> None:
    made = create(host, ContainerOptions(image="busybox"), Job())
    collect(host, grace=0)
    assert [s.key for s in host.snapshotter.walk()] == [made.snapshot]


def test_an_image_that_was_looked_up_is_there_until_its_container_is(host: Host) -> None:
    """Removed and collected between the look at the image and the container: it works all the same."""
    old = time.time() - 7 * 24 * 3600
    for file in (host.root / "content" / "blobs").glob("*/*"):
        os.utime(file, (old, old))
    for record in (host.root / "layers").glob("*/*/layer.json"):
        os.utime(record, (old, old))
    other = Host(host.settings)
    with host.store.lease(), other:
        image = image_for(host, "busybox", Job(), pull="never")
        remove(other, "busybox", force=True, prune=False)
        collect(other, grace=0, cache=True)
        # As by a collection that looked at everything before the lease was there.
        other.snapshotter.prune(())
        prepare(host, "b" * 64, image, Job())
        host.snapshotter.remove("b" * 64)
        with pytest.raises(NotFound, match="busybox"):
            image_for(other, "busybox", Job(), pull="never")
    collect(host, grace=0, cache=True)
    assert list(host.store.walk()) == []


def test_an_image_that_lacks_a_layer_is_said_to(host: Host) -> None:
    for diff_id in find_image(host, "busybox").config.diff_ids:
        host.store.blobs.delete(diff_id)
    with pytest.raises(LayerMissing, match="of the image busybox:latest is not here") as caught:
        image_for(host, "busybox", Job(), pull="never")
    assert caught.value.hint == (
        "build or load the image again, or remove it: corten rmi busybox:latest"
    )
    # No registry is known to have it: one of this name there is somebody else's.
    with pytest.raises(LayerMissing, match="is not here"):
        image_for(host, "busybox", Job())


def test_an_image_that_lacks_a_layer_says_under_what_name_a_registry_has_it(host: Host) -> None:
    image = find_image(host, "busybox")
    tag(host, "busybox", "127.0.0.1:1/base/app:2")
    host.store.add_repo_digest("127.0.0.1:1/base/app", image.descriptor.digest, image.id)
    for diff_id in image.config.diff_ids:
        host.store.blobs.delete(diff_id)
    for text in ("busybox", image.id.encoded[:12]):
        with pytest.raises(LayerMissing) as caught:
            image_for(host, text, Job())
        assert caught.value.hint == "fetch it again: corten pull 127.0.0.1:1/base/app:2"
    with pytest.raises(Unavailable, match="is not here, and it cannot be pulled"):
        image_for(host, "127.0.0.1:1/base/app:2", Job())
