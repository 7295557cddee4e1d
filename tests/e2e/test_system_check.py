"""``corten system check``: damage of a real store is found, named and mended, or a pull mends it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from support import busybox
from support.commands import corten
from support.registry_server import corten_registry

pytestmark = [pytest.mark.root, pytest.mark.e2e]


class Store(NamedTuple):
    """A root with a pulled image, a container made of it, and an image built on it."""

    root: Path
    name: str
    layers: tuple[str, ...]
    """Hex of the pulled image's diff ids."""
    packed: tuple[str, ...]
    config: str
    manifest: str

    def blob(self, digest: str) -> Path:
        return self.root / "content" / "blobs" / "sha256" / digest

    def layer(self, number: int = 0) -> Path:
        return self.root / "layers" / "erofs" / self.layers[number]

    def check(self, *flags: str) -> tuple[int, str]:
        """Status and standard output of a check."""
        done = corten("system", "check", *flags, root=self.root)
        assert "internal error" not in done.stderr, done.stderr
        return done.returncode, done.stdout


def ok(*arguments: str, root: Path) -> str:
    done = corten(*arguments, root=root)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Made by real commands: build, push, pull, build, run, rmi, gc."""
    folder = tmp_path_factory.mktemp("check")
    with corten_registry(tmp_path_factory.mktemp("registry")) as server:
        maker, root = folder / "maker", folder / "root"
        name = f"{server.host}/check/app:1"
        busybox.build(maker, folder / "base")
        ok("tag", "busybox", name, root=maker)
        ok("push", name, root=maker)
        ok("pull", name, root=root)
        context = folder / "context"
        context.mkdir()
        (context / "Dockerfile").write_text(f"FROM {name}\nRUN echo built > /built\n")
        ok("build", "-q", "-t", "mine", str(context), root=root)
        ok("build", "-q", "-t", "other", "--build-arg", "A=1", str(context), root=root)
        ok("run", "--rm", "mine", "cat", "/built", root=root)
        ok("create", "--name", "web", name, "true", root=root)
        ok("rmi", "other", root=root)
        ok("gc", root=root)
        manifest = json.loads(ok("inspect", "-f", "{{json .Descriptor}}", name, root=root))
        digest = manifest["digest"].removeprefix("sha256:")
        blobs = root / "content" / "blobs" / "sha256"
        document = json.loads((blobs / digest).read_bytes())
        config = document["config"]["digest"].removeprefix("sha256:")
        diff_ids = json.loads((blobs / config).read_bytes())["rootfs"]["diff_ids"]

        def bare(digests: list[str]) -> tuple[str, ...]:
            return tuple(text.removeprefix("sha256:") for text in digests)

        packed = bare([layer["digest"] for layer in document["layers"]])
        yield Store(root, name, bare(diff_ids), packed, config, digest)


@pytest.fixture
def store(template: Store, tmp_path: Path) -> Store:
    """A copy of the template, hard links and all, for one test to damage."""
    root = tmp_path / "root"
    subprocess.run(["cp", "-a", template.root, root], check=True)
    return template._replace(root=root)


def flip(path: Path, at: int = 1500) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0xFF]))


def flip_all(*paths: Path) -> None:
    for path in paths:
        flip(path)


def removed(path: Path) -> Path:
    shutil.rmtree(path)
    return path


def test_nothing_is_wrong_with_a_store_in_daily_use(store: Store) -> None:
    status, said = store.check("--deep")
    assert (status, said.count("\n")) == (0, 1)
    assert said.startswith("Checked ")
    assert said.endswith(": all is well\n")
    assert store.check("--repair")[0] == 0


Damage = Callable[[Store], object]

MENDED: dict[str, tuple[Damage, str]] = {
    "a byte of a tar": (lambda s: flip(s.blob(s.layers[0])), "content has another digest"),
    "a tar cut off": (lambda s: os.truncate(s.blob(s.layers[0]), 5000), "is 5000 bytes long"),
    "a tar deleted": (lambda s: s.blob(s.layers[0]).unlink(), "it is missing"),
    "a byte of a compressed layer": (lambda s: flip(s.blob(s.packed[0])), "has another digest"),
    "a compressed layer deleted": (lambda s: s.blob(s.packed[1]).unlink(), "it is missing"),
    "a byte of an index": (lambda s: flip(s.layer() / "index"), "index is damaged"),
    "an index deleted": (lambda s: (s.layer() / "index").unlink(), "lacks index"),
    "a layer's data deleted": (lambda s: (s.layer() / "data").unlink(), "lacks data"),
    "a layer deleted": (lambda s: shutil.rmtree(s.layer()), "is not applied"),
    "a layer's record": (lambda s: (s.layer() / "layer.json").write_text("?"), "is damaged"),
    "the names in the layout": (
        lambda s: (s.root / "content" / "index.json").unlink(),
        "content/index.json: it is missing",
    ),
    "the catalog": (
        lambda s: cut_catalog(s.root / "catalog.db"),
        "catalog catalog.db: ",
    ),
    "a snapshot's record": (
        lambda s: (snapshot(s) / "snapshot.json").write_text("{}"),
        "of container web: the record",
    ),
    "a snapshot's directories": (
        lambda s: [removed(snapshot(s) / name) for name in ("work", "upper")],
        "lacks its upper directory",
    ),
    "a snapshot": (lambda s: shutil.rmtree(snapshot(s)), "of container web: it is missing"),
    "a container's name": (
        lambda s: (s.root / "containers" / ".names" / "web").unlink(),
        "its name was lost",
    ),
    "several at once": (
        lambda s: flip_all(s.blob(s.layers[0]), s.layer(1) / "index"),
        "index is damaged",
    ),
}


def snapshot(store: Store) -> Path:
    """The directory of the container's file system."""
    (path,) = [p for p in (store.root / "snapshots").iterdir() if len(p.name) == 64]
    return path


def cut_catalog(catalog: Path) -> None:
    """Lose the end of the database, once all of it is in the one file."""
    with closing(sqlite3.connect(catalog)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    os.truncate(catalog, 5000)


@pytest.mark.parametrize("name", MENDED)
def test_damage_is_found_and_mended(store: Store, name: str) -> None:
    damage, words = MENDED[name]
    damage(store)
    status, said = store.check()
    assert status == 1, said
    assert words in said
    assert "corten system check --repair" in said
    assert " left\n" in said
    status, said = store.check("--repair")
    assert status == 0, said
    assert said.startswith("repaired ")
    assert store.check("--deep")[0] == 0
    assert ok("run", "--rm", "mine", "cat", "/built", root=store.root) == "built\n"
    ok("start", "-a", "web", root=store.root)


PULLED: dict[str, Damage] = {
    "the manifest": lambda s: flip(s.blob(s.manifest), 20),
    "the configuration": lambda s: flip(s.blob(s.config), 20),
    "the manifest deleted": lambda s: s.blob(s.manifest).unlink(),
    "a layer in every form": lambda s: flip_all(s.blob(s.layers[0]), s.blob(s.packed[0])),
}


@pytest.mark.parametrize("name", PULLED)
def test_what_cannot_be_mended_comes_back_by_the_pull_that_is_named(
    store: Store, name: str
) -> None:
    PULLED[name](store)
    assert store.check()[0] == 1
    status, said = store.check("--repair")
    assert status == 1
    assert f"corten pull {store.name}" in said
    ok("pull", store.name, root=store.root)
    status, said = store.check("--repair")
    assert status == 0, said
    assert store.check()[0] == 0
    assert ok("run", "--rm", store.name, "echo", "runs", root=store.root) == "runs\n"
    assert ok("run", "--rm", "mine", "cat", "/built", root=store.root) == "built\n"
    ok("start", "-a", "web", root=store.root)


def test_a_container_whose_record_is_unreadable_is_moved_out_of_the_way(store: Store) -> None:
    identity = snapshot(store).name
    (store.root / "containers" / identity / "record.json").write_text("{")
    ok("create", "--name", "other", store.name, "true", root=store.root)
    done = corten("ps", "-a", "--format", "{{.Names}}", root=store.root)
    assert (done.returncode, done.stdout) == (0, "other\n")
    assert f"warning: the record of container {identity[:12]} is damaged" in done.stderr
    assert "corten system check --repair" in done.stderr
    # What it needs is not known, so nothing is collected.
    blobs = sorted(path.name for path in store.blob("x").parent.iterdir())
    assert corten("gc", root=store.root).returncode == 1
    assert sorted(path.name for path in store.blob("x").parent.iterdir()) == blobs
    ok("rm", "other", root=store.root)
    assert f"container {identity[:12]}: its record is damaged" in store.check()[1]
    status, said = store.check("--repair")
    assert status == 0, said
    assert store.check()[0] == 0
    assert ok("ps", "-aq", root=store.root) == ""
    (kept,) = (store.root / "damaged").glob(f"container-{identity}-*")
    assert (kept / "snapshot" / "upper").is_dir()
    ok("create", "--name", "web", store.name, "true", root=store.root)


def test_a_stale_mount_in_the_store_is_undone(store: Store) -> None:
    place = store.root / "snapshots" / "mounted"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
    try:
        status, said = store.check()
        assert "mount snapshots/mounted: nothing uses it" in said
        assert status == 1
        assert store.check("--repair")[0] == 0
        assert not place.is_mount()
    finally:
        subprocess.run(["umount", "-q", place], check=False)


def test_a_running_container_is_no_finding(store: Store) -> None:
    ok("run", "-d", "--name", "busy", store.name, "sleep", "99", root=store.root)
    try:
        status, said = store.check()
        assert status == 0, said
        flip(store.blob(store.layers[0]))
        assert store.check("--repair")[0] == 0
        assert ok("exec", "busy", "echo", "alive", root=store.root) == "alive\n"
    finally:
        ok("rm", "-f", "busy", root=store.root)


def test_findings_as_json_have_whole_digests_and_quiet_says_nothing(store: Store) -> None:
    flip(store.blob(store.layers[0]))
    done = corten("system", "check", "--format", "json", root=store.root)
    (row,) = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 1
    assert row["Kind"] == "blob"
    assert store.layers[0] in row["Subject"]
    assert row["Repaired"] is False
    done = corten("system", "check", "-q", root=store.root)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    done = corten(
        "system", "check", "--repair", "--format", "{{.Kind}} {{.Repaired}}", root=store.root
    )
    assert (done.returncode, done.stdout) == (0, "blob true\nlayer true\n")


def test_the_overlay_drivers_trees_are_checked_path_by_path(store: Store, tmp_path: Path) -> None:
    flags = ("--storage-driver", "overlay")
    ok(*flags, "run", "--rm", store.name, "true", root=store.root)
    tree = store.root / "layers" / "overlay" / store.layers[0] / "fs"
    assert store.check("--deep")[0] == 0
    (tree / "bin" / "busybox").chmod(0o700)
    assert store.check()[0] == 0
    assert "bin/busybox has another mode" in store.check("--deep")[1]
    assert store.check("--deep", "--repair")[0] == 0
    flip(tree / "bin" / "busybox")
    assert "bin/busybox has another" in store.check("--deep")[1]
    shutil.rmtree(tree)
    assert "it lacks fs" in store.check()[1]
    assert store.check("--repair")[0] == 0
    assert ok(*flags, "run", "--rm", store.name, "echo", "x", root=store.root) == "x\n"


def test_an_extracted_layer_is_not_taken_from_under_a_running_container(store: Store) -> None:
    flags = ("--storage-driver", "overlay")
    ok(*flags, "run", "-d", "--name", "busy", store.name, "sleep", "600", root=store.root)
    try:
        tree = store.root / "layers" / "overlay" / store.layers[0] / "fs"
        (tree / "bin" / "busybox").chmod(0o711)
        status, said = store.check("--deep", "--repair")
        assert status == 1
        assert "end container busy, then corten system check --repair" in said
        assert ok(*flags, "exec", "busy", "echo", "alive", root=store.root) == "alive\n"
    finally:
        ok(*flags, "rm", "-f", "busy", root=store.root)
    assert store.check("--deep", "--repair")[0] == 0
    assert (tree / "bin" / "busybox").stat().st_mode & 0o777 == 0o755


def test_a_check_goes_on_beside_other_commands(store: Store, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM mine\nRUN echo 1 > /x\nRUN echo 2 > /y\n")
    from support.commands import COMMAND, environment

    for _ in range(3):
        build = subprocess.Popen(
            [*COMMAND, "build", "-q", "--no-cache", "-t", "beside", str(tmp_path)],
            env=environment(store.root),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        while build.poll() is None:
            status, said = store.check()
            assert status == 0, said
        assert build.returncode == 0, build.communicate()[1]
        build.communicate()


def test_the_help_and_the_completion_know_it() -> None:
    said = corten("system", "check", "--help").stdout
    assert "--repair" in said
    assert "exit status" in said
    assert "check" in corten("system", "--help").stdout
