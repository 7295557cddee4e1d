"""A whole builder on a root of its own, for tests that really build."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from corten.builder.build import BuildRequest, Equipment, Pull, build
from corten.builder.imaging import BuildResult
from corten.builder.plan import BaseImage, BaseRequest
from corten.builder.stacks import Stacks
from corten.content.local import LocalStore
from corten.errors import CortenError
from corten.events.job import Job
from corten.events.model import Event, Finished, Output, Started, Warned
from corten.oci.descriptor import Descriptor
from corten.oci.image_config import ImageConfig, parse_config
from corten.oci.manifest import Manifest, parse_document
from corten.oci.platform import Platform, normalized
from corten.oci.reference import Reference
from corten.runtime.crun import CrunExecutor
from corten.snapshot.overlay import OverlaySnapshotter
from corten.snapshot.probing import choose
from corten.snapshot.protocols import Snapshotter

HOST = normalized("linux", os.uname().machine)
BUSYBOX = Path("/bin/busybox")


class Log:
    """Collects events; safe as an emit of several threads (list.append is atomic)."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def job(self) -> Job:
        return Job(self.events.append)

    def steps(self) -> dict[str, str]:
        """Titles of build steps and how each ended."""
        names = {e.id: e.name for e in self.events if isinstance(e, Started) and e.kind == "build"}
        return {
            names[e.id]: e.status for e in self.events if isinstance(e, Finished) and e.id in names
        }

    def statuses(self) -> list[str]:
        """How steps ended, in order of their ending, without FROM."""
        return [status for name, status in self.steps().items() if "] FROM " not in name]

    def output(self) -> str:
        return b"".join(e.data for e in self.events if isinstance(e, Output)).decode()

    def warnings(self) -> list[str]:
        return [e.text for e in self.events if isinstance(e, Warned)]


class Built(NamedTuple):
    """What a build gave, and how it went."""

    result: BuildResult
    config: ImageConfig
    manifest: Manifest
    log: Log


class Workshop:
    """A store, a snapshotter, an executor and a context directory under `root`."""

    def __init__(self, root: Path, driver: str = "") -> None:
        self.root = root / "root"
        self.context = root / "context"
        self.context.mkdir(parents=True)
        self.store = LocalStore(self.root, HOST)
        self.driver = driver
        self.log = Log()

    def snapshotter(self) -> Snapshotter:
        return choose(self.root, self.driver)

    def stacks(self) -> Stacks:
        return Stacks(self.store, self.snapshotter, self.root / "cache")

    def resolve(self, request: BaseRequest, pull: Pull, job: Job) -> BaseImage:
        name = str(Reference.parse(request.name))
        descriptor = self.store.resolve(name)
        _, config = self.read(descriptor)
        return BaseImage(name, config)

    def read(self, descriptor: Descriptor) -> tuple[Manifest, ImageConfig]:
        with self.store.open(descriptor) as file:
            manifest = parse_document(file.read())
        assert isinstance(manifest, Manifest)
        with self.store.open(manifest.config) as file:
            return manifest, parse_config(file.read())

    def write(self, files: Mapping[str, str | bytes]) -> None:
        """Put files into the context; parents are made."""
        for name, content in files.items():
            path = self.context / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def request(self, dockerfile_path: Path | None = None, **wishes: Any) -> BuildRequest:
        """A request to build the context; `wishes` are fields of BuildRequest."""
        fields: dict[str, Any] = {"context": self.context, "host": HOST, "environ": {}, **wishes}
        fields["tags"] = tuple(str(Reference.parse(tag)) for tag in fields.get("tags", ()))
        return BuildRequest(dockerfile=dockerfile_path, **fields)

    def equipment(self) -> Equipment:
        """What builds here work with."""
        return Equipment(
            self.store,
            self.snapshotter,
            lambda: CrunExecutor(self.root),
            self.resolve,
            self.root / "cache",
        )

    def build(self, dockerfile: str | None = None, **wishes: Any) -> Built:
        """Build the context; `wishes` are fields of BuildRequest."""
        if dockerfile is not None:
            self.write({"Dockerfile": dockerfile})
        result = self.run(**wishes)
        log = self.log
        manifest, config = self.read(result.descriptor)
        return Built(result, config, manifest, log)

    def run(self, **wishes: Any) -> BuildResult:
        """Build the context, whatever comes of it: an index, too."""
        self.log = Log()
        return build(self.request(**wishes), self.equipment(), self.log.job())

    @contextmanager
    def tree(self, built: Built) -> Iterator[Path]:
        """The image's files, read-only, at a path of this process."""
        with self.stacks().view(built.config.diff_ids, "the image") as tree:
            yield Path(f"/proc/self/fd/{tree.fd}")

    def close(self) -> None:
        self.store.close()

    def leftovers(self) -> list[str]:
        """Snapshots, runs and unfinished ingests that a build should not leave."""
        found = [f"snapshot {snapshot.key}" for snapshot in self.snapshotter().walk()]
        for pattern in ("run/steps/*", "run/crun/*", "cache/work/*"):
            found += [str(path) for path in self.root.glob(pattern)]
        found += [
            str(path)
            for path in (self.root / "content" / "ingest").glob("**/*")
            if path.is_file() and path.stat().st_size
        ]
        mounts = Path("/proc/self/mounts").read_text()
        found += [line for line in mounts.splitlines() if str(self.root) in line]
        return found


def needs_root() -> None:
    """Skip where mounting is not possible."""
    if os.geteuid() != 0:
        pytest.skip("needs root")


def needs_busybox() -> None:
    """Skip where there is no static busybox or no crun."""
    needs_root()
    if not BUSYBOX.exists() or shutil.which("crun") is None:
        pytest.skip("needs busybox-static and crun")


__all__ = [
    "BUSYBOX",
    "HOST",
    "Built",
    "CortenError",
    "Log",
    "OverlaySnapshotter",
    "Platform",
    "Workshop",
    "needs_busybox",
    "needs_root",
]
