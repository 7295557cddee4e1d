"""Stores to crash: a small stock of images, the operations on it, and what must hold afterwards."""

from __future__ import annotations

import io
import os
import re
import shutil
import sqlite3
import subprocess
import tarfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from corten.builder.stacks import Stacks
from corten.content.index_file import read_index
from corten.engine import archives, containers, images, system, transfer
from corten.engine.build import BuildOptions, build
from corten.engine.creation import ContainerOptions
from corten.engine.host import Host
from corten.engine.lookup import find_image
from corten.events.job import Job
from corten.oci.digest import Digest
from corten.oci.image_config import parse_config
from corten.oci.manifest import Index, parse_document
from corten.runtime.attach import Streams
from corten.runtime.crun import root_scope
from support.images import small_image

BASE, VICTIM = "docker.io/library/base:1", "docker.io/library/victim:1"
AGE = 7200.0
"""Seconds since the stock was used: longer than any grace."""
_HEX = re.compile(r"[0-9a-f]{12,}")
_BUSY = 10.0


class Place(NamedTuple):
    """Where a crash happens: the root, and beside it what commands read."""

    root: Path
    folder: Path
    registry: str

    @property
    def thing(self) -> str:
        """The name of the image that is pulled; the stock has an older one of that name."""
        return f"{self.registry}/thing:1"


def make_stock(place: Place) -> None:
    """Fill the root with images, some shared layers, and things that only gc takes away.

    The newer ``thing`` goes to the registry, ``loaded`` into an archive, a context beside it.
    """
    from corten.oci.reference import Reference
    from corten.remote.registries import Registries

    shared, size = b"shared " * 100, 3000
    newer = small_image(shared, b"new " * size)
    reference = Reference.parse(place.thing)
    with Registries({}, frozenset()) as registries:
        newer.push(registries.open(reference, ("pull", "push")), reference.tag)
    make_context(place.folder)
    with Host.open(place.root) as host:
        store = host.store
        small_image(shared, b"loaded " * size).push(store, "docker.io/library/loaded:1")
        with (place.folder / "archive.tar").open("wb") as archive:
            archives.save(host, ["loaded:1"], archive.write, Job())
        images.remove(host, "loaded:1")
        small_image(shared).push(store, BASE)
        small_image(shared, b"old " * size).push(store, str(reference))
        small_image(shared, b"victim " * size).push(store, VICTIM)
        small_image(b"lost " * size).push(store, "docker.io/library/lost:1")
        for name in ("base:1", place.thing, "victim:1", "lost:1"):
            archives.load(host, saved(host, name), Job())
        store.forget_image(store.find(_untagged(host, "docker.io/library/lost:1"))[0].image_id)
        options = BuildOptions(context=place.folder / "box", tags=("box:1",))
        build(host, options, Job())
        host.snapshotter.prepare("build-killed", ())
    _make_old(place.root)


def _untagged(host: Host, name: str) -> str:
    image = images.inspect(host, name)["Id"]
    host.store.untag(name)
    return str(image)


def saved(host: Host, name: str) -> io.BytesIO:
    """An image of the store as an archive in memory."""
    archive = io.BytesIO()
    archives.save(host, [name], archive.write, Job())
    archive.seek(0)
    archive.name = f"{name}.tar"
    return archive


def make_context(folder: Path) -> None:
    """Build contexts: ``box`` (a shell in an image), ``copy`` and ``run``."""
    busybox = shutil.which("busybox")
    assert busybox is not None, "busybox-static is missing: make setup-test"
    for name in ("box", "copy/tree/deep", "run"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(busybox, folder / "box" / "busybox")
    (folder / "box" / "Dockerfile").write_text(
        "FROM scratch\nCOPY busybox /bin/sh\nCMD exec true\n"
    )
    for name in ("one", "tree/two", "tree/deep/three"):
        (folder / "copy" / name).write_text(f"{name}\n" * 500)
    (folder / "copy" / "Dockerfile").write_text(
        "FROM base:1\nCOPY tree /tree\nCOPY --chown=5:6 one /there/one\nWORKDIR /work\n"
    )
    (folder / "run" / "Dockerfile").write_text(
        "FROM box:1\nWORKDIR /work\nRUN echo done > made; exec true\nCOPY Dockerfile /last\n"
    )


def _make_old(root: Path) -> None:
    then = time.time() - AGE
    for path in root.rglob("*"):
        os.utime(path, (then, then), follow_symlinks=False)


def copy_stock(template: Path, root: Path) -> None:
    """Replace `root` by a copy of the template that shares no file with it."""
    subprocess.run(["rm", "-rf", root], check=True)
    # Hard links within it (a tar is a blob and a layer's data) stay links.
    subprocess.run(["cp", "-a", template, root], check=True)


# Operations: each is what one command does, and may be done again after a crash.

Operation = Callable[[Place], object]


def pull(place: Place) -> None:
    """Bring the newer image of a name that is there."""
    with Host.open(place.root) as host:
        transfer.pull(host, place.thing, Job())


def build_copy(place: Place) -> None:
    """A build of COPY and WORKDIR."""
    _build(place, "copy")


def build_run(place: Place) -> None:
    """A build with RUN between others."""
    _build(place, "run")


def _build(place: Place, name: str) -> None:
    with Host.open(place.root) as host:
        build(host, BuildOptions(context=place.folder / name, tags=(f"{name}:1",)), Job())


def load(place: Place) -> None:
    """Load an archive."""
    with Host.open(place.root) as host, (place.folder / "archive.tar").open("rb") as archive:
        archives.load(host, archive, Job())


def rmi(place: Place) -> None:
    """Remove an image, which collects; nothing to do if it is gone."""
    with Host.open(place.root) as host:
        if VICTIM in host.store.names():
            images.remove(host, "victim:1")
        else:
            system.collect(host)


def gc(place: Place) -> None:
    """Collect all that nothing holds."""
    with Host.open(place.root) as host:
        system.collect(host, grace=0.0)


def run(place: Place) -> None:
    """Run a container to its end and remove it."""
    options = ContainerOptions(
        image="box:1", command=("sh", "-c", "echo hello"), auto_remove=True, network="none"
    )
    with Host.open(place.root) as host, Path(os.devnull).open("r+b") as null:
        fd = null.fileno()
        code = containers.run(host, options, Job(), Streams(-1, fd, fd))
    assert code == 0, f"the container ended with {code}"


def remove_containers(place: Place) -> None:
    """Remove every container that `ps` shows."""
    with Host.open(place.root) as host:
        for row in containers.containers(host, everything=True):
            containers.remove(host, row.record.id, force=True, volumes=True)


OPERATIONS: dict[str, Operation] = {
    operation.__name__: operation for operation in (pull, build_copy, build_run, load, rmi, gc, run)
}


# What must hold.


def faults(place: Place) -> Iterator[str]:
    """What is wrong with the store as it is: nothing that is visible may be half there."""
    with Host.open(place.root) as host:
        yield from _damaged_blobs(host)
        for record in host.store.images():
            yield from _missing_parts(host, record.descriptor.digest, record.names or "an image")
        for name in host.store.names():
            yield from _missing_parts(host, host.store.resolve(name).digest, name)
        if (host.store.path / "index.json").exists():
            for listed in read_index(host.store.path).manifests:
                yield from _missing_parts(host, listed.digest, "index.json")
        yield from _wrong_trees(host)


def _damaged_blobs(host: Host) -> Iterator[str]:
    for descriptor in host.store.walk():
        found = Digest.of(host.store.locate(descriptor).read_bytes())
        if found != descriptor.digest:
            yield f"the blob {descriptor.digest} has the content of {found}"


def _missing_parts(host: Host, digest: Digest, owner: object) -> Iterator[str]:
    """Everything below a manifest of an image, tars and applied layers with it."""
    blobs = host.store.blobs
    if blobs.size_or_none(digest) is None:
        yield f"{owner}: no manifest {digest}"
        return
    document = parse_document(blobs.read(digest, 1 << 20))
    if isinstance(document, Index):
        for child in document.manifests:
            yield from _missing_parts(host, child.digest, owner)
        return
    for child in document.children:
        if blobs.size_or_none(child.digest) != child.size:
            yield f"{owner}: {child.digest} is not whole"
    if blobs.size_or_none(document.config.digest) is not None:
        config = parse_config(blobs.read(document.config.digest, 1 << 20))
        for diff_id in config.diff_ids:
            if blobs.size_or_none(diff_id) is None:
                yield f"{owner}: no tar {diff_id}"


def _wrong_trees(host: Host) -> Iterator[str]:
    """Mount every named image and compare its files with its tars."""
    stacks = Stacks(host.store, lambda: host.snapshotter, host.root / "cache")
    seen = set()
    for record in host.store.images():
        image = find_image(host, str(record.image_id))
        if not record.names or image.config.diff_ids in seen:
            continue
        seen.add(image.config.diff_ids)
        wanted = _files(host, image.config.diff_ids)
        with stacks.view(image.config.diff_ids, "it") as tree:
            for path, content in wanted.items():
                fd = tree.open(path)
                with os.fdopen(fd, "rb") as found:
                    if found.read() != content:
                        yield f"{record.names}: /{path} is not what its layer says"


def _files(host: Host, layers: tuple[Digest, ...]) -> dict[str, bytes]:
    files = {}
    for layer in layers:
        with tarfile.open(host.store.blobs.file(layer)) as archive:
            for member in archive:
                if member.isreg():
                    content = archive.extractfile(member)
                    assert content is not None
                    files[member.name] = content.read()
    return files


def inventory(place: Place) -> Counter[str]:
    """Every file and directory below the root, and the rows of the catalog.

    Names made of random or hash digits are alike, so that two stores can be compared
    that hold as many of each.
    """
    found: Counter[str] = Counter()
    for path in place.root.rglob("*"):
        if not path.name.endswith(("-wal", "-shm")):
            found[_HEX.sub("…", str(path.relative_to(place.root)))] += 1
    with sqlite3.connect(place.root / "catalog.db") as catalog:
        for (name,) in catalog.execute("SELECT name FROM names"):
            found[f"name {name}"] += 1
        for (table,) in catalog.execute("SELECT name FROM sqlite_schema WHERE type = 'table'"):
            found[f"rows of {table}"] = catalog.execute(f"SELECT count(*) FROM {table}").fetchone()[
                0
            ]
    catalog.close()
    return +found


def leftovers(place: Place) -> Iterator[str]:
    """Mounts in this namespace and processes that belong to the root."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if line.split()[4].startswith(f"{place.root}/"):
            yield f"mounted: {line}"
    end = time.monotonic() + _BUSY
    while groups := list(_groups(place.root)):
        if time.monotonic() > end:
            yield f"control groups: {groups}"
            return
        time.sleep(0.02)


def _groups(root: Path) -> Iterator[str]:
    scope = root_scope(root)
    for pattern in ("corten-*", "*/corten-*"):
        for path in Path("/sys/fs/cgroup").glob(pattern):
            if scope in path.name:
                yield str(path)


def difference(found: Counter[str], wanted: Counter[str]) -> list[str]:
    """What is there too often, and what too rarely."""
    more = [f"{count} more: {what}" for what, count in sorted((found - wanted).items())]
    fewer = [f"{count} fewer: {what}" for what, count in sorted((wanted - found).items())]
    # Facts are hints, found out again when they are needed.
    return more + [line for line in fewer if not line.endswith("rows of facts")]
