"""What happens to an image in one life of a fresh store, measured step by step.

Each life has a file system of its own, made for it: ext4 is several times
slower at creating files for half a minute after many were removed, which would
fall on whoever comes next.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from bench import measure
from bench.disk import forget_cached, fresh_disk
from bench.layers import bounds
from bench.layers.inputs import VARIANTS, Inputs
from bench.measure import Cost, children_cpu, processes_cpu
from bench.peers import Peer, buildah, corten, docker, podman

Sample = tuple[str, Cost]
"""A row's name and one measurement."""


class Stage(NamedTuple):
    """Where a life takes place: ``scratch`` is for the disk's file, ``number`` makes names unique."""

    inputs: Inputs
    scratch: Path
    number: int


@contextlib.contextmanager
def newborn(name: str, stage: Stage, gigabytes: int = 6) -> Iterator[Peer]:
    """A program with an empty store on a fresh file system."""
    with contextlib.ExitStack() as stack:
        disk = stack.enter_context(fresh_disk(store_of(stage), gigabytes))
        if name == "docker":
            peer = stack.enter_context(docker(disk / name))
            if peer is not None:
                peer.env = {"DOCKER_BUILDKIT": "1"}
        else:
            makers = {"corten": corten, "podman": podman, "buildah": buildah}
            peer = makers[name](disk / name)
        if peer is None:
            raise SystemExit(f"{name} is not installed: see debian-packages-test.txt")
        yield peer


def store_of(stage: Stage) -> Path:
    """The file that holds the disk of a life's store."""
    return stage.scratch / "layers-store.img"


def cost(work: Callable[[], object], daemons: tuple[int, ...] = ()) -> Cost:
    """What `work` costs, once: wall, CPU of commands and daemons, and the largest peak memory."""
    os.sync()
    for pid in daemons:
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # VmHWM begins anew
    measure.peaks.clear()
    cpu, begin = children_cpu() + processes_cpu(daemons), time.perf_counter()
    work()
    wall = time.perf_counter() - begin
    cpu = children_cpu() + processes_cpu(daemons) - cpu
    memory = max(measure.peaks, default=0) + sum(peak_kib(pid) for pid in daemons)
    return Cost(wall, cpu, memory / 1024)


def peak_kib(pid: int) -> int:
    """The most resident memory that the process has had since it was asked to begin anew."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def pulled(name: str, stage: Stage) -> Iterator[Sample]:
    """Pull of the image with 40,000 files until it has run, from both registries; then rmi."""
    for host, shown in ((stage.inputs.host, "docker-registry"), (stage.inputs.our_host, "corten")):
        image = f"{host}/many:1"
        with newborn(name, stage) as peer:

            def pull(peer: Peer = peer, image: str = image) -> None:
                peer("pull", *peer.push_flags, image)
                peer.run("--network=none", image, "true")

            yield f"pull from {shown} until it has run", cost(pull, peer.daemons)
            if shown == "corten":
                yield "rmi, all cached", cost(lambda p=peer, i=image: p("rmi", i), peer.daemons)  # type: ignore[misc]


def removed(name: str, stage: Stage) -> Iterator[Sample]:
    """rmi of an image that is not cached any more, and prune of three more such images.

    All have a layer of 40,000 files of their own, and have run; the programs are cached.
    """
    images = [f"{stage.inputs.our_host}/also:{number}" for number in range(1 + VARIANTS)]
    with newborn(name, stage, 8) as peer:
        for image in images:
            peer("pull", *peer.push_flags, image)
            peer.run("--network=none", image, "true")
        for work, command in (
            ("rmi, nothing cached", ("rmi", images[0])),
            (f"prune of {VARIANTS} images, nothing cached", ("system", "prune", "-af")),
        ):
            forget_cached(store_of(stage))
            peer("images")
            yield work, cost(lambda c=command: peer(*c), peer.daemons)  # type: ignore[misc]
        if left := peer("images", "-q"):
            raise SystemExit(f"{name} has not removed {left}")


def built(name: str, stage: Stage) -> Iterator[Sample]:
    """COPY of the tree in a cold build on a base that is there; push, and push again."""
    found = stage.inputs
    image = f"{found.host}/built-{name}-{stage.number}:1"
    with newborn(name, stage) as peer:
        peer("pull", *peer.push_flags, f"{found.host}/base:1")
        yield "COPY, cold build", cost(lambda: peer.build(found.tree, image), peer.daemons)
        yield "push", cost(lambda: peer("push", *peer.push_flags, image), peer.daemons)
        before = len(found.log.read_bytes().splitlines())
        yield "push again", cost(lambda: peer("push", *peer.push_flags, image), peer.daemons)
        requests = len(found.log.read_bytes().splitlines()) - before
        yield "push again, requests (as s)", Cost(requests, requests)


def started(name: str, stage: Stage) -> Iterator[Sample]:
    """Start of a container from one layer on the base, and from forty."""
    with newborn(name, stage) as peer:
        for tag in ("1", "40"):
            image = f"{stage.inputs.host}/many:{tag}"
            peer("pull", *peer.push_flags, image)
            shown = "one layer" if tag == "1" else "40 layers"
            for row in (f"first run, {shown}", *[f"run, {shown}"] * 5):
                yield row, cost(lambda i=image: peer.run("--network=none", i, "true"), peer.daemons)  # type: ignore[misc]


def big(name: str, stage: Stage) -> Iterator[Sample]:
    """A layer of 2 GiB: build, save, push, pull, load, and what bounds them; the registry's peak memory."""
    context = stage.inputs.folder / "big"
    image = f"{stage.inputs.our_host}/big-{stage.number}:1"
    archive = stage.inputs.folder / "big.tar"
    server = stage.inputs.server
    clear = Path(f"/proc/{server}/clear_refs")
    with newborn(name, stage, 9) as peer:
        yield "2 GiB: build", cost(lambda: peer.build(context, image), peer.daemons)
        yield "2 GiB: save", cost(lambda: peer("save", "-o", str(archive), image), peer.daemons)
        clear.write_text("5")
        yield "2 GiB: push", cost(lambda: peer("push", *peer.push_flags, image), peer.daemons)
        yield "2 GiB: push, corten's registry", Cost(0, 0, peak_kib(server) / 1024)
        files = dict(bounds.blobs_of(Path(peer.command[-1])))
        tar, blob, target = files["tar"], files["gzip"], archive.with_name("written")
        yield "2 GiB: inflate alone, one core", cost(lambda: bounds.inflate(blob))
        yield "2 GiB: deflate alone, all cores", cost(lambda: bounds.deflate(tar))
        yield "2 GiB: hash the tar alone", cost(lambda: bounds.hash_bytes(tar))
        yield "2 GiB: write the tar alone, flush", cost(lambda: bounds.write(tar, target))
        yield "2 GiB: write the blob alone, flush", cost(lambda: bounds.write(blob, target))
    with newborn(name, stage, 9) as peer:
        clear.write_text("5")
        yield "2 GiB: pull", cost(lambda: peer("pull", *peer.push_flags, image), peer.daemons)
        yield "2 GiB: pull, corten's registry", Cost(0, 0, peak_kib(server) / 1024)
    with newborn(name, stage, 9) as peer:
        yield "2 GiB: load", cost(lambda: peer("load", "-i", str(archive)), peer.daemons)
    archive.unlink()
