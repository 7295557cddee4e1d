"""Stores to crash: a small stock of images, and what commands read and write beside it."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from corten.engine import archives, images
from corten.engine.build import BuildOptions, build
from corten.engine.host import Host
from corten.events.job import Job
from support.images import small_image

BASE, VICTIM = "docker.io/library/base:1", "docker.io/library/victim:1"
AGE = 7200.0
"""Seconds since the stock was used: longer than any grace."""


class Place(NamedTuple):
    """Where a crash happens: the root, and beside it what commands read.

    ``repository`` is where they push to, in the registry.
    """

    root: Path
    folder: Path
    registry: str
    repository: str = "pushed"

    @property
    def thing(self) -> str:
        """The name of the image that is pulled; the stock has an older one of that name."""
        return f"{self.registry}/thing:1"

    @property
    def pushed(self) -> str:
        """The name of the image that is pushed, copied to a layout and saved."""
        return f"{self.registry}/{self.repository}:1"

    @property
    def outside(self) -> Path:
        """The directory that commands write to beside the root; it goes where the root goes."""
        return _outside(self.root)

    @property
    def layout(self) -> Path:
        """An OCI image layout."""
        return self.outside / "layout"

    @property
    def archive(self) -> Path:
        """An image archive that is written over."""
        return self.outside / "saved.tar"


def _outside(root: Path) -> Path:
    return root.with_name(f"{root.name}-outside")


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
    place.outside.mkdir()
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
            archives.load(host, io.BytesIO(saved(host, name)), Job())
        store.forget_image(store.find(_untagged(host, "docker.io/library/lost:1"))[0].image_id)
        options = BuildOptions(context=place.folder / "box", tags=("box:1",))
        build(host, options, Job())
        host.snapshotter.prepare("build-killed", ())
    make_old(place)


def _untagged(host: Host, name: str) -> str:
    image = images.inspect(host, name)["Id"]
    host.store.untag(name)
    return str(image)


def saved(host: Host, name: str) -> bytes:
    """An image of the store as a docker archive."""
    archive = io.BytesIO()
    archives.save(host, [name], archive.write, Job())
    return archive.getvalue()


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


def make_old(place: Place) -> None:
    """Let all be as if nobody had touched it for long."""
    then = time.time() - AGE
    for top in (place.root, place.outside):
        for path in top.rglob("*"):
            os.utime(path, (then, then), follow_symlinks=False)


def move_stock(root: Path, to: Path) -> None:
    """Give a root, and what lies beside it, another name."""
    root.rename(to)
    _outside(root).rename(_outside(to))


def copy_stock(template: Path, root: Path) -> None:
    """Replace `root`, and what lies beside it, by a copy of the template that shares no file with it."""
    subprocess.run(["rm", "-rf", root, _outside(root)], check=True)
    # Hard links within it (a tar is a blob and a layer's data) stay links.
    subprocess.run(["cp", "-a", template, root], check=True)
    subprocess.run(["cp", "-a", _outside(template), _outside(root)], check=True)
