"""A small root file system, containers over it, and what a machine has that must not stay."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from corten.events.job import Job
from corten.oci.digest import Digest
from corten.runtime import lifecycle
from corten.runtime.attach import Streams
from corten.runtime.containers import ContainerRecord
from corten.runtime.crun import CrunExecutor, root_scope
from corten.runtime.execution import execute
from corten.runtime.host import Runtime
from corten.runtime.logs import read_log
from corten.runtime.protocols import Process, Sandbox
from corten.snapshot.probing import choose
from corten.snapshot.stacking import StackingSnapshotter

BUSYBOX = Path("/bin/busybox")
PASSWD = """root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/sh
app:x:1234:2345:An app:/home/app:/bin/sh
"""
GROUP = """root:x:0:
app:x:2345:
audio:x:29:app,daemon
video:x:44:app
"""


def make_layer(folder: Path) -> tuple[Digest, Path]:
    """The tar of a small system made of busybox, and its digest."""
    tree = folder / "tree"
    (tree / "bin").mkdir(parents=True)
    shutil.copy(BUSYBOX, tree / "bin" / "busybox")
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True)
    for applet in applets.stdout.split():
        with contextlib.suppress(FileExistsError):
            (tree / "bin" / applet).symlink_to("busybox")
    for name in ("etc", "home/app", "root", "tmp", "data"):
        (tree / name).mkdir(parents=True)
    (tree / "tmp").chmod(0o1777)
    (tree / "etc" / "passwd").write_text(PASSWD)
    (tree / "etc" / "group").write_text(GROUP)
    (tree / "data" / "seed").write_text("from the image\n")
    (tree / "bin" / "plain").write_text("no program\n")
    path = folder / "layer.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        archive.add(tree, arcname=".")
    with path.open("rb") as file:
        digest = Digest("sha256:" + hashlib.file_digest(file, "sha256").hexdigest())
    return digest, path


class Machine(NamedTuple):
    """What of the machine must be as it was when a test is over."""

    mounts: frozenset[str]
    interfaces: frozenset[str]
    rules: str
    groups: frozenset[str]
    processes: frozenset[int]


def look(root: Path) -> Machine:
    """The machine now: what belongs to this `root` (others may test beside us)."""
    mark, scope = str(root), root_scope(root)
    rules = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True)
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    keys = [scope, *(entry.name for entry in (root / "containers").glob("*"))]
    return Machine(
        frozenset(line.split()[4] for line in lines if mark in line),
        frozenset(path.name for path in Path("/sys/class/net").glob(f"ct[nv]{scope}*")),
        "\n".join(line for line in rules.stdout.splitlines() if scope in line),
        frozenset(
            str(path)
            for pattern in ("corten-*", "*/corten-*")
            for path in Path("/sys/fs/cgroup").glob(pattern)
            if any(key in path.name for key in keys)
        ),
        frozenset(processes(mark)),
    )


def processes(mark: str) -> Iterator[int]:
    """Living processes with `mark` in their arguments, but not this one."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError):
                # A zombie has no arguments any more.
                if mark.encode() in (folder / "cmdline").read_bytes():
                    yield int(folder.name)


class World:
    """A root of our own with a runtime, a storage driver and one layer applied."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.root.mkdir()
        self.runtime = Runtime(self.root)
        self.snapshots: StackingSnapshotter = choose(self.root)
        self.layer, tar = make_layer(folder)
        self.snapshots.apply(self.layer, tar)
        self.executor = CrunExecutor(self.root)

    def create(self, *args: str, **options: object) -> ContainerRecord:
        """A container that will run `args`; `options` are fields of its record or process."""
        names = {field.name for field in msgspec.structs.fields(ContainerRecord)}
        image_volumes = options.pop("volumes", ())
        process = Process(args, **{k: v for k, v in options.items() if k not in names})  # type: ignore[arg-type]
        fields = {"network": "none", **{k: v for k, v in options.items() if k in names}}
        record = lifecycle.create(
            self.runtime,
            ContainerRecord(id="", name=str(fields.pop("name", "")), process=process, **fields),  # type: ignore[arg-type]
            image_volumes,  # type: ignore[arg-type]
        )
        self.snapshots.prepare(record.snapshot, [self.layer])
        return record

    def start(self, record: ContainerRecord) -> None:
        """Start in the background."""
        lifecycle.start(self.runtime, record, self.snapshots.mounts(record.snapshot))

    def run(self, *args: str, **options: object) -> tuple[int, bytes]:
        """Create, start in the foreground, wait, remove: exit status and output (both streams)."""
        record = self.create(*args, **options)
        with tempfile.TemporaryFile() as output:
            try:
                with lifecycle.attended(self.runtime, record):
                    mounts = self.snapshots.mounts(record.snapshot)
                    attachment = lifecycle.start(self.runtime, record, mounts, attach=True)
                    assert attachment is not None
                    with attachment:
                        attachment.relay(Streams(-1, output.fileno(), output.fileno()))
                    status = lifecycle.wait(self.runtime, record, 30)
            finally:
                self.remove(record)
            assert status is not None
            output.seek(0)
            return status, output.read()

    def step(self, *args: str, job: Job | None = None, **options: object) -> tuple[int, bytes]:
        """Run a build step through the executor: exit status and output."""
        sandbox = {k: options.pop(k) for k in list(options) if k in Sandbox.__struct_fields__}
        process = Process(args, **options)  # type: ignore[arg-type]
        mounts = self.snapshots.prepare("step", [self.layer])
        pieces: list[bytes] = []
        try:
            status = self.executor.run(
                "step",
                process,
                Sandbox(rootfs=mounts, **sandbox),  # type: ignore[arg-type]
                lambda _, data: pieces.append(data),
                job or Job(),
            )
        finally:
            self.snapshots.remove("step")
        return status, b"".join(pieces)

    def remove(self, record: ContainerRecord) -> None:
        """Remove by force, with volumes."""
        lifecycle.remove(self.runtime, record, self.snapshots, force=True, volumes=True)

    def log(self, record: ContainerRecord) -> bytes:
        """All that the container wrote."""
        path = self.runtime.directory(record) / "log"
        return b"".join(entry.text for entry in read_log(path))

    def close(self) -> None:
        """Remove all containers that are left."""
        for record in self.runtime.containers.walk():
            self.remove(record)


@contextlib.contextmanager
def world(folder: Path) -> Iterator[World]:
    """A `World` in `folder`; at the end nothing of it may be left on the machine."""
    root = folder / "root"
    before = look(root)
    made = World(folder)
    try:
        yield made
    finally:
        identities = [record.id for record in made.runtime.containers.walk()]
        made.close()
    eventually(lambda: look(root) == before, lambda: f"{look(root)} was {before}")
    for identity in identities:
        assert not list(Path("/sys/fs/cgroup").glob(f"**/corten-{identity}"))


def eventually(
    condition: object, message: object = "it did not come true", seconds: float = 8
) -> None:
    """Wait until ``condition()`` is true; fail after `seconds`."""
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(message() if callable(message) else str(message))
        time.sleep(0.02)


def run_exec(
    here: World, record: ContainerRecord, *args: str, stdin: bytes = b"", **options: object
) -> tuple[int, bytes]:
    """Run a process in the running container: exit status and output (both streams)."""
    reading, writing = os.pipe()
    source, feed = os.pipe()
    os.write(feed, stdin)
    os.close(feed)
    with open(reading, "rb") as output:
        try:
            process = Process(args, **{"cwd": "", **options})  # type: ignore[arg-type]
            code = execute(here.runtime, record, process, Streams(source, writing, writing))
        finally:
            os.close(writing)
            os.close(source)
        return code, output.read()


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
